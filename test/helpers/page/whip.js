// Publishes and plays with WHIP and WHEP, with plain browser code and with Eyevinn's WHIP client.
'use strict';

const whipPage = {
  connection: undefined,
  channel: undefined,
  location: undefined,
  etag: undefined,
  answer: undefined,

  /** An offer of this browser. `codec` is the only video codec in it; `layers` are simulcast encodings. */
  async offer({ source = 'tone', sourceOptions, codec, layers, dataChannel, setup } = {}) {
    const stream =
      source === 'camera'
        ? await navigator.mediaDevices.getUserMedia({ audio: true, video: true })
        : sources[source](sourceOptions).stream;
    const connection = new RTCPeerConnection();
    for (const track of stream.getTracks()) {
      const transceiver = connection.addTransceiver(track, {
        direction: 'sendonly',
        streams: [stream],
        ...(track.kind === 'video' && layers && { sendEncodings: layers }),
      });
      if (track.kind === 'video' && codec) {
        const { codecs } = RTCRtpSender.getCapabilities('video');
        transceiver.setCodecPreferences(
          codecs.filter(({ mimeType }) => mimeType.toLowerCase() === `video/${codec}` || mimeType === 'video/rtx'),
        );
      }
    }
    if (dataChannel) this.openChannel(connection, dataChannel);
    await connection.setLocalDescription();
    this.connection = connection;
    const { sdp } = connection.localDescription;
    return setup ? sdp.replaceAll('a=setup:actpass', `a=setup:${setup}`) : sdp;
  },

  openChannel(connection, name) {
    this.channel = connection.createDataChannel(name);
    this.received = [];
    this.channel.onmessage = ({ data }) => this.received.push(data);
  },

  async request(method, url, { headers, body } = {}) {
    const response = await fetch(url, { method, headers, body });
    return { status: response.status, headers: Object.fromEntries(response.headers), text: await response.text() };
  },

  /** Publishes. Resolves with the answer to POST and its time. With `mediaPort`, media goes to that port instead of the gateway's. */
  async publish(url, options = {}) {
    const body = await this.offer(options);
    const answer = await this.request('POST', url, {
      headers: { 'content-type': 'application/sdp', ...options.headers },
      body,
    });
    const answeredAt = Date.now();
    if (answer.status === 201) {
      this.location = new URL(answer.headers.location, url).href;
      this.etag = answer.headers.etag;
      const { mediaPort } = options;
      this.answer = mediaPort
        ? answer.text
            .replace(/^a=candidate:.* tcp .*\r\n/gm, '')
            .replace(/^(a=candidate:.* udp \d+ \S+ )\d+/gm, `$1${mediaPort}`)
        : answer.text;
      await this.connection.setRemoteDescription({ type: 'answer', sdp: this.answer });
    }
    return { ...answer, answeredAt };
  },

  /** Plays into a hidden video element. */
  async play(url, { dataChannel } = {}) {
    const connection = new RTCPeerConnection();
    if (dataChannel) this.openChannel(connection, dataChannel);
    for (const kind of ['audio', 'video']) connection.addTransceiver(kind, { direction: 'recvonly' });
    const video = Object.assign(document.createElement('video'), { autoplay: true });
    video.srcObject = new MediaStream();
    connection.ontrack = ({ track }) => video.srcObject.addTrack(track);
    await connection.setLocalDescription();
    this.connection = connection;
    const answer = await this.request('POST', url, {
      headers: { 'content-type': 'application/sdp' },
      body: connection.localDescription.sdp,
    });
    if (answer.status === 201) {
      this.location = new URL(answer.headers.location, url).href;
      await connection.setRemoteDescription({ type: 'answer', sdp: answer.text });
    }
    return answer;
  },

  /** Restarts ICE with new credentials, like a client whose network has changed. */
  async restartIce() {
    const { connection } = this;
    connection.restartIce();
    await connection.setLocalDescription();
    const credentials = connection.localDescription.sdp.match(/^a=ice-(ufrag|pwd):.*$/gm).slice(0, 2);
    const body = `${credentials.join('\r\n')}\r\n`;
    const answer = await this.request('PATCH', this.location, {
      headers: { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': '*' },
      body,
    });
    if (answer.status === 200) {
      this.etag = answer.headers.etag;
      const [ufrag, pwd] = ['ufrag', 'pwd'].map((name) => answer.text.match(new RegExp(`^a=ice-${name}:.*$`, 'm'))[0]);
      this.answer = this.answer.replace(/^a=ice-ufrag:.*$/gm, ufrag).replace(/^a=ice-pwd:.*$/gm, pwd);
      await connection.setRemoteDescription({ type: 'answer', sdp: this.answer });
    }
    return answer;
  },

  /** Statistics of the connection, by kind and layer. */
  async flow(type) {
    const report = [...(await this.connection.getStats()).values()];
    return {
      state: this.connection.connectionState,
      channel: this.channel?.readyState,
      streams: report
        .filter((stat) => stat.type === type)
        .map(
          ({
            kind,
            rid,
            framesEncoded,
            framesDecoded,
            packetsSent,
            packetsReceived,
            frameHeight,
            audioLevel,
            totalAudioEnergy,
          }) => ({
            kind,
            rid,
            framesEncoded,
            framesDecoded,
            packetsSent,
            packetsReceived,
            frameHeight,
            audioLevel,
            totalAudioEnergy,
          }),
        ),
    };
  },

  /** Publishes with the unmodified `@eyevinn/whip-web-client`. */
  async eyevinn(endpoint, options) {
    const { WHIPClient } = await import('/whip-client.js');
    const client = new WHIPClient({ endpoint, opts: { iceServers: [], timeout: 100, ...options } });
    this.client = client;
    await client.ingest(sources.tone().stream);
    await client.getResourceUrl();
    this.connection = client.peer;
    return {
      resource: client.resource,
      etag: client.eTag,
      extensions: client.extensions,
      trickle: client.supportTrickleIce(),
    };
  },
};
