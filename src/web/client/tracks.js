import { openCamera, openScreen } from './camera.js';
import { ClientError, failure, toClientError } from './errors.js';

/**
 * @typedef {'audio' | 'video'} Kind
 *
 * @typedef {object} TrackOptions
 * @property {MediaStreamConstraints} [constraints] for the camera and the microphone
 * @property {string} [videoHint] what matters in the video: `motion` (a camera), `detail` or `text` (a screen)
 * @property {string} [audioHint] what the audio is: `speech` or `music`
 * @property {number} [maxBitrate] of the video, in kilobits per second
 * @property {number} [maxHeight] of the video, in pixels: larger video is scaled down. Of upright video it is the width
 * @property {number} [maxFps]
 * @property {readonly string[]} [codecs] of the video, the preferred first: `H264`, `VP8`, `VP9`, `AV1`. Others are not
 * offered
 *
 * @typedef {object} Slot what is sent of one kind
 * @property {Kind} kind
 * @property {MediaStreamTrack | null} track
 * @property {RTCRtpTransceiver} [transceiver] of the latest connection
 * @property {boolean} [exchanged] the track was exchanged while there was no connection
 */

/** The tracks of a publication: what is sent, and the devices that it comes from. It sends one encoding, no simulcast. */
export class PublishedTracks {
  #stream;
  #options;
  #onDevice;
  /** @type {Slot[]} */
  #slots;
  /** Tracks that the library has opened, which it stops. @type {Set<MediaStreamTrack>} */
  #owned;
  /** @type {Set<Kind>} */
  #muted = new Set();
  /** What is sent again after the screen. @type {{ screen: MediaStreamTrack, camera: MediaStreamTrack | null } | undefined} */
  #sharing;
  #released = false;

  /**
   * @param {MediaStream} stream its tracks are exchanged
   * @param {TrackOptions} options
   * @param {boolean} owned the library has opened it
   * @param {(kind: Kind, error?: ClientError) => void} onDevice a device was lost, or replaced after that
   */
  constructor(stream, options, owned, onDevice) {
    this.#stream = stream;
    this.#options = options;
    this.#onDevice = onDevice;
    this.#owned = new Set(owned ? stream.getTracks() : []);
    /** @param {Kind} kind @param {MediaStreamTrack[]} tracks @returns {Slot[]} */
    const slot = (kind, [track]) => (track ? [{ kind, track }] : []);
    this.#slots = [...slot('audio', stream.getAudioTracks()), ...slot('video', stream.getVideoTracks())];
    for (const { kind, track } of this.#slots) if (track) this.#prepare(kind, track);
  }

  get stream() {
    return this.#stream;
  }

  /** @param {Kind} kind */
  has(kind) {
    return this.#slots.some((slot) => slot.kind === kind);
  }

  /** Adds what is sent now to a new connection. @param {RTCPeerConnection} connection */
  addTo(connection) {
    for (const slot of this.#slots) {
      // Pages may have replaced the track of the sender.
      if (slot.transceiver && !slot.exchanged) slot.track = slot.transceiver.sender.track;
      slot.exchanged = false;
      slot.transceiver = connection.addTransceiver(slot.track ?? slot.kind, {
        direction: 'sendonly',
        streams: [this.#stream],
        ...(slot.kind === 'video' && this.#encodings(slot.track)),
      });
      if (slot.kind === 'video' && this.#options.codecs) preferCodecs(slot.transceiver, this.#options.codecs);
    }
  }

  /**
   * Sends this track instead of the one of its kind. The previous one is stopped if the library has opened it.
   *
   * @param {MediaStreamTrack} track
   * @throws {ClientError}
   */
  async replace(track) {
    const previous = await this.#exchange(/** @type {Kind} */ (track.kind), track);
    if (previous && previous !== track) this.#stop(previous);
  }

  /**
   * Takes another camera, by default the one on the other side of a phone.
   *
   * @param {MediaTrackConstraints} [wanted]
   * @throws {ClientError}
   */
  async switchCamera(wanted) {
    const current = this.#sharing ? this.#sharing.camera : this.#slot('video').track;
    const { facingMode } = current?.getSettings() ?? {};
    const choice = wanted ?? { facingMode: facingMode === 'environment' ? 'user' : 'environment' };
    const camera = await this.#open('video', choice).catch((error) => {
      // Many phones open only one camera at a time.
      if (error.code !== 'DEVICE_BUSY' || !current) throw error;
      this.#stop(current);
      return this.#open('video', choice);
    });
    if (!this.#sharing) return this.replace(camera);
    this.#sharing.camera = camera;
    if (current) this.#stop(current);
  }

  /**
   * Sends the screen instead of the camera, until {@link stopScreen} or until the user ends it in the browser.
   *
   * @param {DisplayMediaStreamOptions} [options]
   * @throws {ClientError}
   */
  async shareScreen(options) {
    const { camera } = this.#sharing ?? { camera: this.#slot('video').track };
    const [screen, ...others] = sortedTracks(await openScreen(options));
    for (const track of others) track.stop();
    if (!screen) throw failure('CAMERA', 'The browser has shared no video of the screen.');
    this.#owned.add(screen);
    const previous = await this.#exchange('video', screen);
    if (this.#sharing && previous) this.#stop(previous);
    this.#sharing = { screen, camera };
  }

  /** Sends the camera again. @throws {ClientError} */
  async stopScreen() {
    if (!this.#sharing) return;
    const { screen, camera } = this.#sharing;
    this.#sharing = undefined;
    await this.#exchange('video', camera?.readyState === 'ended' ? await this.#open('video') : camera);
    this.#stop(screen);
  }

  /**
   * Sends silence or black frames.
   *
   * @param {Kind} kind
   * @param {{ release?: boolean }} [options] `release`: sends nothing, and stops the device, whose light goes out
   * @throws {ClientError}
   */
  async mute(kind, { release = false } = {}) {
    const { track } = this.#slot(kind);
    this.#muted.add(kind);
    if (!track) return;
    track.enabled = false;
    if (!release) return;
    await this.#exchange(kind, null);
    this.#stop(track);
  }

  /** @param {Kind} kind @throws {ClientError} if the device cannot be opened again */
  async unmute(kind) {
    const { track } = this.#slot(kind);
    const sent = track ?? (await this.#open(kind));
    this.#muted.delete(kind);
    if (track) track.enabled = true;
    else await this.#exchange(kind, sent);
  }

  /** Stops what the library has opened. */
  release() {
    this.#released = true;
    for (const track of [...this.#owned]) this.#stop(track);
  }

  /** @param {Kind} kind */
  #slot(kind) {
    const slot = this.#slots.find((each) => each.kind === kind);
    if (slot) return slot;
    throw new ClientError('STREAM_FAILED', `The stream was published without ${kind}. Publish it again with it.`);
  }

  /**
   * @param {Kind} kind
   * @param {MediaStreamTrack | null} track
   * @returns {Promise<MediaStreamTrack | null>} the previous one
   */
  async #exchange(kind, track) {
    const slot = this.#slot(kind);
    if (track) this.#prepare(kind, track);
    const sender = slot.transceiver?.sender;
    try {
      await sender?.replaceTrack(track);
      if (sender && track && kind === 'video') await this.#limit(sender, track);
    } catch (error) {
      // Between two connections: the next one takes it.
      if (/** @type {Error} */ (error).name !== 'InvalidStateError') throw toClientError(error, 'STREAM_FAILED');
      slot.exchanged = true;
    }
    const previous = slot.track;
    slot.track = track;
    if (previous && previous !== track) this.#stream.removeTrack(previous);
    if (track) this.#stream.addTrack(track);
    return previous;
  }

  /** @param {Kind} kind @param {MediaStreamTrack} track */
  #prepare(kind, track) {
    const hint = kind === 'video' ? this.#options.videoHint : this.#options.audioHint;
    if (hint !== undefined) track.contentHint = hint;
    if (this.#muted.has(kind)) track.enabled = false;
    // It does not fire for tracks that a page stops itself.
    track.addEventListener('ended', () => this.#ended(kind, track), { once: true });
  }

  /** @param {Kind} kind @param {MediaStreamTrack} track */
  #ended(kind, track) {
    if (this.#released || this.#slot(kind).track !== track) return;
    if (this.#sharing?.screen === track) return void this.stopScreen().catch((error) => this.#onDevice(kind, error));
    const device = kind === 'video' ? 'camera' : 'microphone';
    this.#onDevice(kind, failure('DEVICE_LOST', `The ${device} was unplugged or taken away.`));
    if (this.#owned.has(track)) void this.#takeOther(kind, track);
  }

  /**
   * Takes any device in place of one that is lost, as soon as there is one.
   *
   * @param {Kind} kind
   * @param {MediaStreamTrack} lost
   */
  async #takeOther(kind, lost) {
    if (this.#released || this.#slot(kind).track !== lost) return;
    try {
      await this.replace(await this.#open(kind, {}));
      this.#onDevice(kind);
    } catch {
      navigator.mediaDevices.addEventListener('devicechange', () => void this.#takeOther(kind, lost), { once: true });
    }
  }

  /**
   * @param {Kind} kind
   * @param {MediaTrackConstraints} [wanted] in place of the device of the constraints
   */
  async #open(kind, wanted) {
    const asked = this.#options.constraints?.[kind];
    const { deviceId, facingMode, ...size } = typeof asked === 'object' ? asked : {};
    const constraints = wanted ? { ...size, ...wanted } : { deviceId, facingMode, ...size };
    const [track] = (await openCamera({ [kind]: constraints })).getTracks();
    if (!track) throw failure('DEVICE_NOT_FOUND', 'No camera or microphone was found.');
    this.#owned.add(track);
    // Ended in the meantime.
    if (this.#released) this.#stop(track);
    return track;
  }

  /** @param {MediaStreamTrack} track */
  #stop(track) {
    if (this.#owned.delete(track)) track.stop();
  }

  /** @param {MediaStreamTrack | null} track */
  #encodings(track) {
    const { maxBitrate, maxFps, maxHeight } = this.#options;
    if (maxBitrate === undefined && maxFps === undefined && maxHeight === undefined) return {};
    return {
      sendEncodings: [
        {
          ...(maxBitrate !== undefined && { maxBitrate: maxBitrate * 1000 }),
          ...(maxFps !== undefined && { maxFramerate: maxFps }),
          ...(maxHeight !== undefined && track && { scaleResolutionDownBy: scaleOf(track, maxHeight) }),
        },
      ],
    };
  }

  /** @param {RTCRtpSender} sender @param {MediaStreamTrack} track */
  async #limit(sender, track) {
    const { maxHeight } = this.#options;
    if (maxHeight === undefined) return;
    const parameters = sender.getParameters();
    for (const encoding of parameters.encodings) encoding.scaleResolutionDownBy = scaleOf(track, maxHeight);
    await sender.setParameters(parameters);
  }
}

/** The video first. @param {MediaStream} stream */
const sortedTracks = (stream) => [...stream.getVideoTracks(), ...stream.getAudioTracks()];

/** @param {MediaStreamTrack} track @param {number} maxHeight */
function scaleOf(track, maxHeight) {
  const { width = 0, height = 0 } = track.getSettings();
  return Math.max(1, Math.min(width, height) / maxHeight);
}

/** @param {RTCRtpTransceiver} transceiver @param {readonly string[]} names @throws {ClientError} UNSUPPORTED_CODEC */
function preferCodecs(transceiver, names) {
  const known = RTCRtpSender.getCapabilities('video')?.codecs ?? [];
  /** @param {string} name */
  const named = (name) => known.filter(({ mimeType }) => mimeType.toLowerCase() === `video/${name.toLowerCase()}`);
  const wanted = names.flatMap(named);
  if (wanted.length === 0) throw failure('UNSUPPORTED_CODEC', `This browser cannot send ${names.join(' or ')}.`);
  transceiver.setCodecPreferences([...wanted, ...named('rtx'), ...named('red'), ...named('ulpfec')]);
}
