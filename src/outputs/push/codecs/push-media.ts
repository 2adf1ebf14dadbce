import { EventEmitter } from 'node:events';
import type { GatewayError } from '../../../errors.ts';
import type { Logger } from '../../../observe/logger.ts';
import type { RenditionAudioCodec } from '../../../renditions/encode-profile.ts';
import type { ContinuousRendition } from '../../../renditions/standby/continuous-rendition.ts';
import { AudioSwitch, type SwitchedAudio } from '../audio-switch.ts';
import type { PushRulesView } from '../platforms/push-rules.ts';
import type { PushSource } from '../push-sources.ts';
import type { SoundClip } from '../sound-library.ts';
import { isSamePair, type CodecPair } from './codec-choice.ts';

/** What a push sends in one pair of codecs. */
export interface PushVariant {
  readonly pair: CodecPair;
  readonly source: PushSource;
  /** Body of one audio tag of silence. */
  readonly silence: Buffer;
  readonly audio: AudioSwitch;
}

/** A sound file in the codecs in which it is needed. */
export interface PushSound {
  readonly loop: boolean;
  readonly clips: ReadonlyMap<RenditionAudioCodec, SoundClip>;
  /** In another codec. Without it the push has only those. */
  readonly load?: (codec: RenditionAudioCodec) => Promise<SoundClip>;
}

export interface PushMediaOptions {
  readonly pair: CodecPair;
  readonly source: PushSource;
  readonly format: SwitchedAudio;
  /** Opens what the push sends in other codecs. Without it there is one pair. */
  readonly open?: ((pair: CodecPair, awaySince: Date | undefined) => Promise<OpenedSource>) | undefined;
  readonly logger: Logger;
}

export interface OpenedSource {
  readonly source: PushSource;
  /** Of its audio. */
  readonly format: SwitchedAudio;
}

interface PushMediaEvents {
  /** The audio, the standby or the rules have changed. */
  change: [];
  /** What a variant is made of has failed; it is not leased again. */
  failed: [variant: PushVariant, error: GatewayError];
}

interface Held extends PushVariant {
  users: number;
  readonly stop: () => void;
}

/**
 * What a push sends, in each pair of codecs that its servers take. Orders about audio and standby apply to all. A variant
 * is closed when no connection needs it, but for the last one.
 */
export class PushMedia extends EventEmitter<PushMediaEvents> {
  readonly #options: PushMediaOptions;
  readonly #held: Held[] = [];
  readonly #opening = new Map<string, Promise<Held>>();
  #muted = false;
  #sound: PushSound | undefined;
  /** Standby was switched on by hand. */
  #isHeld = false;
  #releasing: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #closed = false;

  constructor(options: PushMediaOptions) {
    super();
    this.#options = options;
    this.#hold(options.pair, options);
  }

  /** Those that are open; the first one is that of the longest use. */
  get variants(): readonly PushVariant[] {
    return this.#held;
  }

  get muted(): boolean {
    return this.#muted;
  }

  get soundEnabled(): boolean {
    return this.#held.some(({ audio }) => audio.soundEnabled);
  }

  /** Whether the push goes on without a live stream. */
  get hasStandby(): boolean {
    return this.#held[0]!.source.standby !== undefined;
  }

  /** The renditions whose standby can be switched. */
  get standbys(): readonly ContinuousRendition[] {
    return this.#held.map(({ source }) => source.standby).filter((standby) => standby !== undefined);
  }

  mute(): void {
    this.#muted = true;
    for (const { audio } of this.#held) audio.mute();
    this.emit('change');
  }

  unmute(): void {
    this.#muted = false;
    for (const { audio } of this.#held) audio.unmute();
    this.emit('change');
  }

  soundOn(sound: PushSound): void {
    this.#sound = sound;
    for (const { pair, audio } of this.#held) {
      const clip = sound.clips.get(pair.audio);
      if (clip) audio.soundOn(clip, sound.loop);
    }
    this.emit('change');
  }

  soundOff(): void {
    this.#sound = undefined;
    for (const { audio } of this.#held) audio.soundOff();
    this.emit('change');
  }

  /** Switches to standby by hand, or back to the live stream. */
  holdStandby(on: boolean): void {
    this.#isHeld = on;
    for (const standby of this.standbys) standby.hold(on);
  }

  rulesOf({ source }: PushVariant): PushRulesView | undefined {
    return source.rules?.view;
  }

  /** Tells whether the server takes the stream at the moment. */
  setPushing(pushing: boolean): void {
    for (const { source } of this.#held) source.rules?.setPushing(pushing);
  }

  /**
   * Leases a variant; at once if it is open.
   *
   * @throws {GatewayError} if it cannot be had
   */
  lease(pair: CodecPair): PushVariant | Promise<PushVariant> {
    const open = this.#find(pair);
    if (!open) return this.#open(pair);
    open.users++;
    return open;
  }

  /** Ends a lease. */
  release(variant: PushVariant): void {
    const held = this.#held.find((one) => one === variant);
    // One that has failed is gone already.
    if (!held || --held.users > 0 || this.#held.length === 1 || this.#closed) return;
    this.#close(held);
  }

  /** Nothing is sent any more: rules are not watched, and failures not reported. */
  stop(): void {
    this.#closed = true;
    for (const held of this.#held) held.stop();
  }

  /** Releases everything. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#closeAll());
  }

  async #closeAll(): Promise<void> {
    this.stop();
    await Promise.allSettled(this.#opening.values());
    // They stay listed, for views.
    for (const held of this.#held) this.#release(held);
    await this.#releasing;
  }

  #find(pair: CodecPair): Held | undefined {
    return this.#held.find((held) => isSamePair(held.pair, pair));
  }

  async #open(pair: CodecPair): Promise<PushVariant> {
    const key = `${pair.video} ${pair.audio}`;
    let opening = this.#opening.get(key);
    if (!opening) {
      opening = this.#make(pair).finally(() => this.#opening.delete(key));
      this.#opening.set(key, opening);
    }
    const held = await opening;
    held.users++;
    // The one that the push began with is kept only until there is another one.
    const unused = this.#held.filter((other) => other !== held && other.users === 0);
    for (const other of unused) this.#close(other);
    return held;
  }

  async #make(pair: CodecPair): Promise<Held> {
    const since = this.standbys[0]?.absence?.since;
    const opened = await this.#options.open!(pair, since);
    let held: Held;
    try {
      const clip = this.#sound && (this.#sound.clips.get(pair.audio) ?? (await this.#sound.load?.(pair.audio)));
      held = this.#hold(pair, opened);
      // The order may have been withdrawn meanwhile.
      if (clip && this.#sound) held.audio.soundOn(clip, this.#sound.loop);
    } catch (error) {
      opened.source.rules?.close();
      await opened.source.lease.release();
      throw error;
    }
    if (this.#muted) held.audio.mute();
    if (this.#isHeld) held.source.standby?.hold(true);
    if (this.#closed) held.stop();
    return held;
  }

  #hold(pair: CodecPair, { source, format }: OpenedSource): Held {
    const { rendition } = source.lease;
    const { standby, rules } = source;
    const onChange = (): void => void this.emit('change');
    const onFailed = (error: GatewayError): void => {
      this.#drop(held);
      this.emit('failed', held, error);
    };
    const audio = new AudioSwitch(format, () => {
      if (!this.soundEnabled) this.#sound = undefined;
      onChange();
    });
    const held: Held = {
      pair,
      source,
      silence: format.silence,
      audio,
      users: 0,
      stop: () => {
        rules?.close();
        rendition.off('failed', onFailed);
        standby?.changes.off('change', onChange);
      },
    };
    rendition.on('failed', onFailed);
    rules?.onChange(onChange);
    standby?.changes.on('change', onChange);
    this.#held.push(held);
    return held;
  }

  /** A variant that has failed stays if it is the only one, for views. */
  #drop(held: Held): void {
    if (this.#held.length === 1) return;
    this.#close(held);
  }

  #close(held: Held): void {
    const at = this.#held.indexOf(held);
    if (at < 0 || this.#closed) return;
    this.#held.splice(at, 1);
    held.stop();
    this.#release(held);
  }

  #release({ source }: Held): void {
    const released = source.lease
      .release()
      .catch((error: unknown) => this.#options.logger.error({ err: error }, 'releasing a rendition failed'));
    this.#releasing = Promise.all([this.#releasing, released]);
  }
}
