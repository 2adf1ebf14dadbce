// Functions that tests call in the page. Everything uses the official Web SDK; results are plain data.
'use strict';

const { SESSION_STATUS, STREAM_STATUS, STREAM_EVENT } = Flashphoner.constants;

const testPage = {
  session: undefined,
  /** Streams by name. */
  streams: {},
  source: undefined,
  /** Events of the SDK, in order: [{ what, status?, info?, event? }]. */
  events: [],

  connect(urlServer, options = {}) {
    return new Promise((resolve, reject) => {
      const session = Flashphoner.createSession({ urlServer, ...options });
      for (const status of Object.values(SESSION_STATUS)) {
        session.on(status, (event) => {
          testPage.events.push({ what: 'session', status, info: event?.info });
          if (status === SESSION_STATUS.ESTABLISHED) resolve(status);
          if (status === SESSION_STATUS.FAILED || status === SESSION_STATUS.DISCONNECTED)
            reject(new Error(`session ${status}`));
        });
      }
      testPage.session = session;
    });
  },

  disconnect() {
    testPage.session.disconnect();
  },

  /** Creates a stream and resolves with its status, one of `until`. */
  open(name, options, start, until) {
    return new Promise((resolve) => {
      const stream = testPage.session.createStream({ name, cacheLocalResources: true, ...options });
      for (const status of Object.values(STREAM_STATUS)) {
        stream.on(status, () => {
          const resolution = status === STREAM_STATUS.RESIZE ? { ...stream.videoResolution() } : undefined;
          testPage.events.push({ what: 'stream', name, status, info: stream.getInfo(), resolution });
          if (until.includes(status)) resolve({ status, info: stream.getInfo() });
        });
      }
      stream.on(STREAM_EVENT, (event) => testPage.events.push({ what: 'event', name, event }));
      testPage.streams[name] = stream;
      stream[start]();
    });
  },

  /** `source`: 'camera' (the fake device) or a key of `sources`, called with `sourceOptions`. */
  publish({ name, source = 'camera', sourceOptions, constraints, ...options }) {
    // Without a size the SDK requests 320x240.
    let wanted = constraints ?? { audio: true, video: { width: 640, height: 480 } };
    if (source !== 'camera') {
      testPage.source = sources[source](sourceOptions);
      wanted = { audio: false, video: false, customStream: testPage.source.stream };
    }
    const display = document.getElementById('local');
    return testPage.open(
      name,
      { ...options, constraints: wanted, display, receiveVideo: false, receiveAudio: false },
      'publish',
      [STREAM_STATUS.PUBLISHING, STREAM_STATUS.FAILED],
    );
  },

  play({ name, ...options }) {
    return testPage.open(name, { ...options, display: document.getElementById('remote') }, 'play', [
      STREAM_STATUS.PLAYING,
      STREAM_STATUS.FAILED,
    ]);
  },

  stop(name) {
    const stream = testPage.streams[name];
    const ends = [STREAM_STATUS.UNPUBLISHED, STREAM_STATUS.STOPPED, STREAM_STATUS.FAILED];
    return new Promise((resolve) => {
      for (const status of ends) {
        stream.on(status, () => {
          testPage.events.push({ what: 'stream', name, status, info: stream.getInfo() });
          resolve({ status, info: stream.getInfo() });
        });
      }
      stream.stop();
    });
  },

  async available(name) {
    const stream = testPage.session.createStream({ name, display: document.getElementById('remote') });
    try {
      await stream.available();
      return { available: true };
    } catch {
      return { available: false, info: stream.getInfo() };
    }
  },

  muteAudio: (name) => testPage.streams[name].muteAudio(),
  unmuteAudio: (name) => testPage.streams[name].unmuteAudio(),
  resize: (width, height) => void testPage.source.resize(width, height),
  sendThrough: (port) => void (hooks.mediaPort = port),

  async audioSent() {
    const reports = [...(await hooks.connections.at(-1).getStats()).values()].filter(({ kind }) => kind === 'audio');
    const [rtp, answered, source] = ['outbound-rtp', 'remote-inbound-rtp', 'media-source'].map(
      (wanted) => reports.find(({ type }) => type === wanted) ?? {},
    );
    return {
      packets: rtp.packetsSent ?? 0,
      retransmitted: rtp.retransmittedPacketsSent ?? 0,
      lost: answered.packetsLost ?? 0,
      seconds: source.totalSamplesDuration ?? 0,
    };
  },

  /** State of the page's player: frame size, frames decoded, and whether its audio is more than silence. */
  async playback() {
    const video = document.querySelector('#remote video');
    if (!video) return undefined;
    const receiver = hooks.connections.at(-1);
    const frames = { audioEnergy: 0, framesDecoded: 0 };
    for (const report of (await receiver.getStats()).values()) {
      if (report.type !== 'inbound-rtp') continue;
      if (report.kind === 'video') frames.framesDecoded = report.framesDecoded ?? 0;
      if (report.kind === 'audio') frames.audioEnergy = report.totalAudioEnergy ?? 0;
    }
    return { width: video.videoWidth, height: video.videoHeight, ...frames };
  },
};

Flashphoner.init({});
