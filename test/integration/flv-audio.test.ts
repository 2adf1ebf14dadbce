import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { AudioTranscoder } from '../../src/renditions/audio-transcoder.ts';
import { silentFrame } from '../../src/renditions/clip-encoder.ts';
import { LiveRendition } from '../../src/renditions/live-rendition.ts';
import type { Rendition } from '../../src/renditions/rendition.ts';
import { aacFrame, silentAacFrame } from '../../src/media/codecs/aac.ts';
import { TAG_AUDIO, type FlvTag } from '../../src/media/containers/flv-tag.ts';
import { silentLogger, type Logger } from '../../src/observe/logger.ts';
import { waitFor } from '../helpers/wait.ts';
import { wrapFfmpeg } from '../helpers/wrapped-ffmpeg.ts';

const FRAME_MS = (1024 * 1000) / 48_000;

/** A stream of silence. */
class Silence extends LiveRendition implements Rendition {
  readonly metadata = {};
  readonly videoHeader = undefined;
  readonly audioHeader = undefined;
  readonly hasVideo = false;
  #frames = 0;

  requestKeyFrame(): void {}

  goOn(): void {
    this.send([
      {
        type: TAG_AUDIO,
        timestamp: Math.round(this.#frames++ * FRAME_MS),
        data: aacFrame(silentAacFrame(2)),
        keyFrame: false,
        sequenceHeader: false,
      },
    ]);
  }
}

// Once for each time that it is asked to. ffmpeg is also run to ask what it can do.
const folder = await wrapFfmpeg(
  t,
  'case "$*" in *pipe:1*) if rmdir "$FOLDER/break" 2>/dev/null; then echo "no FLV, and long enough to be sure"; exec cat >/dev/null; fi;; esac',
);
const breakNext = (): Promise<unknown> => mkdir(join(folder, 'break'));

t.test('an ffmpeg whose output is not FLV is replaced, and nothing else ends', async (t) => {
  await breakNext();
  const reasons: string[] = [];
  const logger = {
    debug: () => {},
    warn: (fields: { reason: string }) => reasons.push(fields.reason),
  } as unknown as Logger;
  const silence = new Silence();
  const transcoder = new AudioTranscoder(silence, 'pcmu', logger);
  t.teardown(() => transcoder.close());
  const tags: FlvTag[] = [];
  transcoder.on('tags', (group) => tags.push(...group.tags));
  const timer = setInterval(() => silence.goOn(), FRAME_MS);
  t.teardown(() => clearInterval(timer));
  await waitFor('a second of sound', () => tags.length >= 50);
  t.strictSame(reasons, ['not an FLV stream']);
  t.ok(
    tags.every(({ data }) => data.length === 161),
    'G.711 of 20 ms each',
  );
  t.ok(
    tags.every(({ timestamp }, i) => i === 0 || timestamp - tags[i - 1]!.timestamp >= 19),
    'one after the other',
  );
});

t.test('a clip that does not become FLV is refused', async (t) => {
  await breakNext();
  await t.rejects(silentFrame({ codec: 'pcma', bitrate: 128 }, silentLogger), /not an FLV stream/);
  t.equal((await silentFrame({ codec: 'pcma', bitrate: 128 }, silentLogger)).length, 161);
});
