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
import { DirectRendition } from '../src/renditions/direct-rendition.ts';
import type { MediaSourceEvents } from '../src/renditions/media-source.ts';
import { OriginalRendition } from '../src/renditions/original-rendition.ts';
import type { Rendition, RenditionEvents } from '../src/renditions/rendition.ts';
import { MemoryStore } from '../src/store/memory-store.ts';
import { createFlvTags } from '../test/helpers/flv-source.ts';
import type { BenchOptions } from './bench-options.ts';
import { figure, type Figure } from './measure.ts';
import { progress, type Report } from './report.ts';

const SOURCE_SECONDS = 10;
const KBPS = 2500;
/** Recorded at the same time, so that what one costs can be seen beside the work of the process itself. */
const STREAMS = 16;
/** Of each measurement of the load, in real time. */
const LOAD_SECONDS = 10;
const FEED_MS = 10;

interface Outcome {
  readonly format: RecordFormat;
  /** Percent of a core. */
  readonly load: Figure;
  /** Milliseconds of processor time for the index of a file. */
  readonly finish: Figure;
}

/**
 * What recording adds to a stream that is pushed anyway, as a share of a core: sixteen streams in real time, with and
 * without recorders, writes included. And the processor time for the index of a long file.
 */
export async function benchRecording({ rounds, seconds }: BenchOptions): Promise<Report> {
  const tags = await createFlvTags({ seconds: SOURCE_SECONDS, size: '1280x720', videoBitrate: `${KBPS}k` });
  const costs = new Map(RECORD_FORMATS.map((format) => [format, { load: [] as number[], finish: [] as number[] }]));
  for (let round = 0; round < rounds; round++)
    for (const format of RECORD_FORMATS) {
      progress(`  ${format}, round ${round + 1}`);
      costs.get(format)!.load.push(await loadOf(tags, format));
      costs.get(format)!.finish.push(await finishingMs(tags, format, seconds));
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
        title: `Recording ${STREAMS} streams of 720p, 30 fps, ${KBPS} kbit/s that are pushed anyway: percent of a core for each; processor time of the index of ${seconds / 60} minutes, ms`,
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

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

const headerOf = (tags: readonly FlvTag[], type: number): FlvTag =>
  tags.find((tag) => tag.type === type && tag.sequenceHeader)!;
const mediaOf = (tags: readonly FlvTag[]): FlvTag[] =>
  tags.filter(({ type, sequenceHeader }) => !sequenceHeader && (type === TAG_VIDEO || type === TAG_AUDIO));

async function withRecordings<T>(work: (recordings: Recordings) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-recording-'));
  try {
    return await work(await Recordings.create(folder, new MemoryStore({ logger: silentLogger }), silentLogger));
  } finally {
    await rm(folder, { recursive: true });
  }
}

const record = (rendition: Rendition, format: RecordFormat, recordings: Recordings): Recorder =>
  Recorder.start(
    'bench',
    { rendition, release: async () => undefined },
    {
      ...{ recordings, lateGroups: new LateGroups({ overloaded: false }), format, template: '{id}' },
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

const ended = (): GatewayError => new GatewayError('TERMINATED', 'The benchmark has ended.');

/** @returns percent of a core for one recorder and what it needs beside the rendition of the pushes */
async function loadOf(tags: readonly FlvTag[], format: RecordFormat): Promise<number> {
  const media = mediaOf(tags);
  const sources = Array.from({ length: STREAMS }, () =>
    Object.assign(new EventEmitter<MediaSourceEvents>(), {
      metadata: { width: 1280, height: 720 },
      videoHeader: headerOf(tags, TAG_VIDEO),
      audioHeader: headerOf(tags, TAG_AUDIO),
      videoCodec: 'h264' as const,
      requestKeyFrame: () => undefined,
    }),
  );
  const pushed = sources.map((source) => {
    const rendition = new DirectRendition(source, () => {
      throw new Error('nothing is transcoded');
    });
    rendition.on('tags', () => undefined);
    return rendition;
  });
  const start = performance.now();
  let next = 0;
  const feeding = setInterval(() => {
    for (; ; next++) {
      const tag = media[next % media.length]!;
      const timestamp = tag.timestamp + Math.floor(next / media.length) * SOURCE_SECONDS * 1000;
      if (timestamp > performance.now() - start) break;
      for (const source of sources) source.emit(tag.type === TAG_VIDEO ? 'video' : 'audio', { ...tag, timestamp });
    }
  }, FEED_MS);
  const measure = async (): Promise<number> => {
    await sleep(1000);
    const before = cpuMs();
    await sleep(LOAD_SECONDS * 1000);
    return cpuMs() - before;
  };
  try {
    const without = await measure();
    const originals = format === 'mp4' ? sources.map((source) => new OriginalRendition(source)) : [];
    const load = await withRecordings(async (recordings) => {
      const recorders = pushed.map((rendition, index) => record(originals[index] ?? rendition, format, recordings));
      const withRecorders = await measure();
      await Promise.all(recorders.map((recorder) => recorder.stop(ended())));
      return (withRecorders - without) / STREAMS / LOAD_SECONDS / 10;
    });
    await Promise.all(originals.map((rendition) => rendition.close()));
    return load;
  } finally {
    clearInterval(feeding);
    await Promise.all(pushed.map((rendition) => rendition.close()));
  }
}

/** @returns processor time in milliseconds of finishing a file of this length */
async function finishingMs(tags: readonly FlvTag[], format: RecordFormat, seconds: number): Promise<number> {
  return withRecordings(async (recordings) => {
    const rendition = Object.assign(new EventEmitter<RenditionEvents>(), {
      metadata: {},
      videoHeader: headerOf(tags, TAG_VIDEO),
      audioHeader: headerOf(tags, TAG_AUDIO),
      hasVideo: true,
      recent: undefined,
      requestKeyFrame: () => undefined,
    });
    const recorder = record(rendition, format, recordings);
    await sleep(20);
    for (let at = 0; at < seconds; at += SOURCE_SECONDS) {
      for (const tag of mediaOf(tags))
        rendition.emit('tags', new TagGroup([{ ...tag, timestamp: tag.timestamp + at * 1000 }]));
      // The disk takes what it was given, as it does in real time.
      await sleep(20);
    }
    const before = cpuMs();
    await recorder.stop(ended());
    return cpuMs() - before;
  });
}
