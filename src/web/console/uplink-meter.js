import { element, say } from './dom.js';
import { uplinkWords } from './uplink.js';

const LEVEL_MS = 100;

/** How loud the microphone is, and how the way to the gateway is, while the page publishes. */
export class UplinkMeter {
  #field = element('level-field', HTMLElement);
  #level = element('level', HTMLMeterElement);
  #line = element('uplink', HTMLElement);
  /** @type {AudioContext | undefined} */
  #audio;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;

  /** @param {MediaStream} stream */
  start(stream) {
    this.stop();
    if (stream.getAudioTracks().length > 0) this.#listen(stream);
  }

  /** @param {import('../client/stats.js').PublicationStats} stats */
  show(stats) {
    const { tone, text } = uplinkWords(stats);
    say(this.#line, text, tone);
  }

  /** Idempotent. */
  stop() {
    clearInterval(this.#timer);
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
    this.#timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const peak = samples.reduce((greatest, sample) => Math.max(greatest, Math.abs(sample)), 0);
      // Decibels, from -60 to 0: people hear it so.
      this.#level.value = peak > 0 ? Math.max(0, 60 + 20 * Math.log10(peak)) : 0;
    }, LEVEL_MS);
  }
}
