import { element, say } from './dom.js';
import { uplinkSample, uplinkVerdict } from './uplink.js';

const [LEVEL_MS, UPLINK_MS] = [100, 2000];

/** How loud the microphone is, and how the way to the gateway is, while the page publishes. */
export class UplinkMeter {
  #field = element('level-field', HTMLElement);
  #level = element('level', HTMLMeterElement);
  #line = element('uplink', HTMLElement);
  /** @type {AudioContext | undefined} */
  #audio;
  /** @type {ReturnType<typeof setInterval>[]} */
  #timers = [];

  /**
   * @param {MediaStream} stream
   * @param {() => RTCPeerConnection | undefined} connection the present one
   */
  start(stream, connection) {
    this.stop();
    this.#follow(connection);
    if (stream.getAudioTracks().length > 0) this.#listen(stream);
  }

  /** Idempotent. */
  stop() {
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers = [];
    void this.#audio?.close();
    this.#audio = undefined;
    this.#field.hidden = true;
    say(this.#line, '');
  }

  /** @param {MediaStream} stream */
  #listen(stream) {
    const audio = (this.#audio = new AudioContext());
    const analyser = new AnalyserNode(audio, { fftSize: 1024 });
    audio.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.#field.hidden = false;
    this.#timers.push(
      setInterval(() => {
        analyser.getFloatTimeDomainData(samples);
        const peak = samples.reduce((greatest, sample) => Math.max(greatest, Math.abs(sample)), 0);
        // Decibels, from -60 to 0: people hear it so.
        this.#level.value = peak > 0 ? Math.max(0, 60 + 20 * Math.log10(peak)) : 0;
      }, LEVEL_MS),
    );
  }

  /** @param {() => RTCPeerConnection | undefined} connection */
  #follow(connection) {
    /** @type {{ of: RTCPeerConnection, sample: import('./uplink.js').UplinkSample } | undefined} */
    let before;
    this.#timers.push(
      setInterval(async () => {
        const of = connection();
        const report = await of?.getStats().catch(() => undefined);
        if (!of || !report || of !== connection()) return;
        const sample = uplinkSample(report, performance.now());
        if (before?.of === of) {
          const { tone, text } = uplinkVerdict(before.sample, sample);
          say(this.#line, text, tone);
        }
        before = { of, sample };
      }, UPLINK_MS),
    );
  }
}
