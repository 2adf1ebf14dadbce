import type { BrowserPage } from './sdk-page.ts';

/**
 * Notes the encoded video frames that a page sends, by their SHA-256, before they are packetized. To be called before
 * the page publishes.
 */
export async function noteSentFrames(page: BrowserPage): Promise<void> {
  await page.evaluate(`(() => {
    const work = () => {
      const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
      onrtctransform = async ({ transformer: { readable, writable } }) => {
        const writer = writable.getWriter();
        const reader = readable.getReader();
        for (let next; !(next = await reader.read()).done;) {
          const data = new Uint8Array(next.value.data);
          // AV1: the temporal delimiter is not sent.
          const bytes = data[0] === 0x12 && data[1] === 0 ? data.slice(2) : data.slice();
          await writer.write(next.value);
          postMessage(hex(await crypto.subtle.digest('SHA-256', bytes)));
        }
      };
    };
    const worker = new Worker(URL.createObjectURL(new Blob(['(' + work + ')()'], { type: 'text/javascript' })));
    window.sentFrames = [];
    worker.onmessage = ({ data }) => sentFrames.push(data);
    const attach = (sender, track) => {
      if (track?.kind === 'video' && !sender.transform) sender.transform = new RTCRtpScriptTransform(worker, {});
    };
    const { addTransceiver, addTrack } = RTCPeerConnection.prototype;
    RTCPeerConnection.prototype.addTransceiver = function (track, ...rest) {
      const transceiver = addTransceiver.call(this, track, ...rest);
      attach(transceiver.sender, typeof track === 'string' ? undefined : track);
      return transceiver;
    };
    RTCPeerConnection.prototype.addTrack = function (track, ...rest) {
      const sender = addTrack.call(this, track, ...rest);
      attach(sender, track);
      return sender;
    };
  })()`);
}

/** The hashes so far, in the order of sending. */
export const sentFrames = (page: BrowserPage): Promise<readonly string[]> =>
  page.evaluate('sentFrames') as Promise<readonly string[]>;
