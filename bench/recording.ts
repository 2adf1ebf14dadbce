import { EventEmitter } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GatewayError } from '../src/errors.ts';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../src/media/containers/flv-tag.ts';
import { TagGroup } from '../src/media/containers/tag-group.ts';
import { silentLogger } from '../src/observe/logger.ts';
import { LateGroups } from '../src/outputs/late-groups.ts';
import { RECORD_FORMATS, type RecordFormat } from '../src/outputs/record/container.ts';
import { finishFile } from '../src/outputs/record/finish-file.ts';
import { createNewFile } from '../src/outputs/record/record-file.ts';
import { Recorder } from '../src/outputs/record/recorder.ts';
import { Recordings } from '../src/outputs/record/recordings.ts';
import type { RenditionEvents } from '../src/renditions/rendition.ts';
import { MemoryStore } from '../src/store/memory-store.ts';
import { createFlvTags } from '../test/helpers/flv-source.ts';
import type { BenchOptions } from './bench-options.ts';
import { figure, type Figure } from './measure.ts';
import { progress, type Report } from './report.ts';

const SOURCE_SECONDS = 10;
const KBPS = 2500;

interface Outcome {
  readonly format: RecordFormat;
  /** Percent of a core. */
  readonly load: Figure;
  /** Milliseconds of processor time for the index of a file. */
  readonly finish: Figure;
}

/**
 * What recording adds to a stream that is pushed anyway: the processor time of a recorder, its writes included, that is
 * given the tags of a passed-through stream, as a share of their duration.
 */
export async function benchRecording({ rounds, seconds }: BenchOptions): Promise<Report> {
  const tags = await createFlvTags({ seconds: SOURCE_SECONDS, size: '1280x720', videoBitrate: `${KBPS}k` });
  const costs = new Map(RECORD_FORMATS.map((format) => [format, { load: [] as number[], finish: [] as number[] }]));
  for (let round = 0; round < rounds; round++)
    for (const format of RECORD_FORMATS) {
      progress(`  ${format}, round ${round + 1}`);
      const { writingMs, finishingMs } = await recordOnce(tags, format, seconds);
      costs.get(format)!.load.push(writingMs / seconds / 10);
      costs.get(format)!.finish.push(finishingMs);
    }
  const outcomes: Outcome[] = [...costs].map(([format, { load, finish }]) => ({
    format,
    load: figure(load),
    finish: figure(finish),
  }));
  return {
    name: 'recording',
    tables: [
      {
        title: `Recording a stream of 720p, 30 fps, ${KBPS} kbit/s: percent of a core; processor time of the index of ${seconds / 60} minutes, ms`,
        columns: ['format', '% of a core', 'index, ms'],
        rows: outcomes.map(({ format, load, finish }) => [format, load, finish]),
      },
    ],
    plot: {
      title: 'Recording a stream',
      x: 'format',
      y: 'percent of a core',
      series: [{ name: 'recorder', points: outcomes.map(({ format, load }) => [format, load.median] as const) }],
    },
    data: { outcomes },
  };
}

async function recordOnce(
  tags: readonly FlvTag[],
  format: RecordFormat,
  seconds: number,
): Promise<{ writingMs: number; finishingMs: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-recording-'));
  try {
    const recordings = await Recordings.create(folder, new MemoryStore({ logger: silentLogger }), silentLogger);
    const header = (type: number): FlvTag => tags.find((tag) => tag.type === type && tag.sequenceHeader)!;
    const media = tags.filter(
      ({ type, sequenceHeader }) => !sequenceHeader && (type === TAG_VIDEO || type === TAG_AUDIO),
    );
    const rendition = Object.assign(new EventEmitter<RenditionEvents>(), {
      metadata: {},
      videoHeader: header(TAG_VIDEO),
      audioHeader: header(TAG_AUDIO),
      hasVideo: true,
      recent: undefined,
      requestKeyFrame: () => undefined,
    });
    const recorder = Recorder.start(
      'bench',
      { rendition, release: async () => undefined },
      {
        ...{ recordings, lateGroups: new LateGroups({ overloaded: false }), format, template: '{id}' },
        ...{ maxFileBytes: 0, maxFileMs: 0, openFile: createNewFile, finish: finishFile, logger: silentLogger },
      },
    );
    await sleep(20);
    const start = process.cpuUsage();
    for (let at = 0; at < seconds; at += SOURCE_SECONDS) {
      for (const tag of media) rendition.emit('tags', new TagGroup([{ ...tag, timestamp: tag.timestamp + at * 1000 }]));
      // The disk takes what it was given, as it does in real time.
      await sleep(20);
    }
    const written = process.cpuUsage(start);
    await recorder.stop(new GatewayError('TERMINATED', 'The benchmark has ended.'));
    const all = process.cpuUsage(start);
    const milliseconds = ({ user, system }: NodeJS.CpuUsage): number => (user + system) / 1000;
    return { writingMs: milliseconds(written), finishingMs: milliseconds(all) - milliseconds(written) };
  } finally {
    await rm(folder, { recursive: true });
  }
}
