import { avcFrame, avcSequenceHeader } from '../../src/media/codecs/avc.ts';
import type {
  StandbyClip,
  StandbyClipSource,
  StandbyFormat,
  StandbyPicture,
} from '../../src/renditions/standby/standby-clip.ts';

/** Sequence header of the fake clips. */
export const CLIP_HEADER = avcSequenceHeader(Buffer.of(0x67, 0x42, 0xc0, 40, 0xda), [
  Buffer.of(0x68, 0xce, 0x3c, 0x80),
]);
/** The last byte of each frame of a fake clip. */
export const CLIP_MARK = 0x77;

/** Clips whose frames only look like H.264. The test decides when they are ready. */
export class FakeStandbyClips implements StandbyClipSource {
  readonly orders: { readonly picture: StandbyPicture; readonly format: StandbyFormat }[] = [];
  /** Makes the next call fail. */
  fail: Error | undefined;
  /** Set: clips wait for it. */
  ready: Promise<void> = Promise.resolve();

  async clip(picture: StandbyPicture, format: StandbyFormat): Promise<StandbyClip> {
    this.orders.push({ picture, format });
    this.#mayFail();
    await this.ready;
    const group = Math.round((format.keyFrameIntervalMs * format.fps) / 1000);
    const frames = Array.from({ length: 2 * group }, (_, index) => {
      const keyFrame = index % group === 0;
      return { data: avcFrame([[Buffer.of(keyFrame ? 0x65 : 0x41, CLIP_MARK)]], keyFrame), keyFrame };
    });
    return { format, header: CLIP_HEADER, frames };
  }

  async check(): Promise<void> {
    this.#mayFail();
  }

  #mayFail(): void {
    const { fail } = this;
    this.fail = undefined;
    if (fail) throw fail;
  }
}
