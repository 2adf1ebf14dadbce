/**
 * Records a test pattern in real time until it is killed: `recorder-main.ts FOLDER TAGS`. Prints the time of the latest
 * media that the recorder was given, in milliseconds since the beginning of the file, as lines.
 */
import { EventEmitter } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeSync } from 'node:fs';
import { FlvReader } from '../../src/media/containers/flv-reader.ts';
import { TAG_AUDIO, TAG_VIDEO } from '../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../src/media/containers/tag-group.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { LateGroups } from '../../src/outputs/late-groups.ts';
import type { RecordFormat } from '../../src/outputs/record/container.ts';
import { finishFile } from '../../src/outputs/record/finish-file.ts';
import { createNewFile } from '../../src/outputs/record/record-file.ts';
import { Recorder } from '../../src/outputs/record/recorder.ts';
import { Recordings } from '../../src/outputs/record/recordings.ts';
import type { RenditionEvents } from '../../src/renditions/rendition.ts';
import { SqliteStore } from '../../src/store/sqlite-store.ts';

const [folder, tagFile, format] = process.argv.slice(2) as [string, string, RecordFormat];
const tags = new FlvReader().push(await readFile(tagFile));
const header = (type: number) => tags.find((tag) => tag.type === type && tag.sequenceHeader)!;
const media = tags.filter(({ type, sequenceHeader }) => !sequenceHeader && (type === TAG_VIDEO || type === TAG_AUDIO));
const store = await SqliteStore.create(join(folder, 'state.db'), { logger: silentLogger });
const recordings = await Recordings.create(folder, store, silentLogger);
const rendition = Object.assign(new EventEmitter<RenditionEvents>(), {
  metadata: {},
  videoHeader: header(TAG_VIDEO),
  audioHeader: header(TAG_AUDIO),
  hasVideo: true,
  recent: undefined,
  requestKeyFrame: () => undefined,
});
Recorder.start(
  'show',
  { rendition, release: async () => undefined },
  {
    ...{ recordings, lateGroups: new LateGroups({ overloaded: false }), format, template: '{stream}-{id}' },
    ...{
      maxFileBytes: 0,
      maxFileMs: 0,
      standby: false,
      openFile: createNewFile,
      finish: finishFile,
      logger: silentLogger,
    },
  },
);
const lengthMs = Math.ceil(media.at(-1)!.timestamp) + 33;
setImmediate(() => {
  const start = performance.now();
  let next = 0;
  setInterval(() => {
    for (; ; next++) {
      const tag = media[next % media.length]!;
      const timestamp = tag.timestamp + Math.floor(next / media.length) * lengthMs;
      if (timestamp > performance.now() - start) break;
      rendition.emit('tags', new TagGroup([{ ...tag, timestamp }]));
      writeSync(1, `${Math.floor(timestamp)}\n`);
    }
  }, 20);
});
