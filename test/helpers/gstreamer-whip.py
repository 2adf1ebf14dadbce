#!/usr/bin/python3
"""A WHIP client with GStreamer's webrtcbin: gstreamer-whip.py URL KEY ENCODED [ENCODED]

Each ENCODED is a pipeline that ends with a payloader. Candidates are sent by PATCH; on SIGTERM the session is deleted."""
import signal
import sys
import threading
from urllib.parse import urljoin
from urllib.request import Request, urlopen

import gi

gi.require_version('Gst', '1.0')
gi.require_version('GstSdp', '1.0')
gi.require_version('GstWebRTC', '1.0')
from gi.repository import GLib, Gst, GstSdp, GstWebRTC

Gst.init(None)
url, key, *media = sys.argv[1:]
pipeline = Gst.parse_launch('webrtcbin name=whip bundle-policy=max-bundle ' + ' '.join(f'{part} ! whip.' for part in media))
webrtc = pipeline.get_by_name('whip')
loop = GLib.MainLoop()
resource = None
lock = threading.Lock()


def ask(method, to, body=None, **headers):
    request = Request(to, body and body.encode(), {name.replace('_', '-'): value for name, value in headers.items()}, method=method)
    request.add_header('Authorization', f'Bearer {key}')
    with urlopen(request, timeout=10) as answer:
        print(method, answer.status, flush=True)
        return answer.headers, answer.read().decode()


def call(name, *arguments):
    promise = Gst.Promise.new()
    webrtc.emit(name, *arguments, promise)
    promise.wait()
    return promise.get_reply()


def negotiate(*_):
    threading.Thread(target=publish, daemon=True).start()


def publish():
    global resource
    if not lock.acquire(blocking=False):
        return
    candidates = []
    webrtc.connect('on-ice-candidate', lambda _webrtc, _line, candidate: candidates.append(candidate))
    # The offer lives as long as the reply that holds it.
    reply = call('create-offer', None)
    offer = reply.get_value('offer')
    call('set-local-description', offer)
    sdp = offer.sdp.as_text()
    headers, text = ask('POST', url, sdp, Content_Type='application/sdp')
    resource = urljoin(url, headers['Location'])
    _, answer = GstSdp.SDPMessage.new_from_text(text)
    call('set-remote-description', GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, answer))
    ice = [line for line in sdp.splitlines() if line.startswith(('a=ice-ufrag:', 'a=ice-pwd:'))][:2]
    fragment = [*ice, 'm=audio 9 RTP/AVP 0', 'a=mid:0', *(f'a={candidate}' for candidate in candidates if candidate), 'a=end-of-candidates', '']
    ask('PATCH', resource, '\r\n'.join(fragment), Content_Type='application/trickle-ice-sdpfrag', If_Match=headers['ETag'])


def stop():
    if resource:
        ask('DELETE', resource)
    loop.quit()


webrtc.connect('on-negotiation-needed', negotiate)
for index in range(len(media)):
    webrtc.emit('get-transceiver', index).set_property('direction', GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGTERM, stop)
pipeline.set_state(Gst.State.PLAYING)
loop.run()
pipeline.set_state(Gst.State.NULL)
