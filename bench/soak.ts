import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { childrenOf, openFiles } from '../test/helpers/processes.ts';
import { randomFrom } from '../test/helpers/random.ts';
import { freePort } from '../test/helpers/server-process.ts';
import { waitFor } from '../test/helpers/wait.ts';
import type { BenchOptions } from './bench-options.ts';
import { setBenchStage, type BenchStage } from './bench-stage.ts';
import { figure, gatewayGroups, memory, total, type Figure } from './measure.ts';
import { progress, type Report } from './report.ts';
import type { TransponderView } from '../src/views/push-view.ts';

/** Largest permitted gap between two adjacent frames of an undisturbed stream, in milliseconds: three video frames. */
const MAX_GAP_MS = 100;
const MAX_STREAMS = 5;
const MAX_PUSHES = 12;
const SAMPLE_EVERY_MS = 5000;
/**
 * Growth of memory that does not count as a leak: heaps vary, and pages are fragmented. The megabytes are for small processes: an encoder keeps memory that it
 * needed for five more streams.
 */
const MEMORY_SLACK = { percent: 25, mb: 15 };
/** The same for the gateway's heap after a collection: it holds code that was compiled meanwhile. */
const HEAP_SLACK = { percent: 10, mb: 0 };
/** The share of the time that is compared at the beginning and at the end, so that no single moment decides. */
const ENDS = 1 / 6;
/** A small history: enough to show that it is bounded. Each sample asks how pushes ended, before they leave the history. */
const ENDED_KEPT = 100;

interface Sample {
  readonly minute: number;
  /** Memory of all processes. */
  readonly memoryMb: number;
  /** Megabytes by the role of the process. */
  readonly memoryBy: Readonly<Record<string, number>>;
  readonly files: number;
  readonly processes: number;
  readonly sockets: number;
}

/** A sample with only the steady streams, after a collection of garbage. */
interface QuietSample extends Sample {
  /** Megabytes in the gateway's heap, and in buffers outside of it. */
  readonly heapMb: number;
  readonly buffersMb: number;
}

/** Publishers and destinations come, go and fail at random; nothing of them may remain. */
export async function benchSoak({ minutes, seed, counts, settings, warmUp }: BenchOptions): Promise<Report> {
  progress(`  seed ${seed} (--seed ${seed} repeats it)`);
  const random = randomFrom(seed);
  const stage = await setBenchStage({
    collectable: true,
    settings: {
      rtmp_push_restore: true,
      rtmp_push_restore_attempts: 2,
      rtmp_push_restore_interval_ms: 500,
      publisher_resume_window_ms: 2000,
      ended_transponders_kept: ENDED_KEPT,
      ...settings,
    },
  });
  const steady = Math.max(1, counts[0]!);
  const samples: Sample[] = [];
  const done: Record<string, number> = {};
  const reasons = new Map<string, string>();
  try {
    for (let i = 0; i < steady; i++)
      await stage.publishers.ask('publish', { name: `steady${i}`, url: stage.gateway.wsUrl, rtmpUrl: stage.rtmpUrl });
    await stage.flowing(steady);
    const disturber = new Disturber(stage, random, await freePort());
    // Code, caches and pools of the first run are not a leak.
    await disturb(disturber, done, performance.now() + warmUp * 1000);
    await disturber.endAll();
    await sleep(SAMPLE_EVERY_MS);
    const before = await quietSample(stage);
    await stage.sink.ask('reset');

    const from = performance.now();
    const look = async (): Promise<void> => {
      const sample = takeSample(stage, (performance.now() - from) / 60_000);
      samples.push(sample);
      progress(
        `  ${sample.minute.toFixed(1)}/${minutes} min: ${sample.memoryMb.toFixed(0)} MB, ${sample.files} files, ${sample.processes} processes, ${sample.sockets} sockets`,
      );
      await noteReasons(stage, reasons);
    };
    await disturb(disturber, done, from + minutes * 60_000, look);
    await disturber.endAll();

    const steadyStreams = (await stage.sink.ask('streams')).filter(
      ({ name, endedAt }) => name.startsWith('rtmp_steady') && endedAt === 0,
    );
    const after = await settled(stage, before);
    await noteReasons(stage, reasons);
    const first = typicalMemory(samples.filter(({ minute }) => minute < minutes * ENDS));
    const last = typicalMemory(samples.filter(({ minute }) => minute >= minutes * (1 - ENDS)));
    const untold = disturber.started.filter((id) => !reasons.has(id)).length;
    const failures = judge({
      before,
      after,
      first,
      last,
      steady,
      steadyStreams,
      reasons: [...reasons.values()],
      untold,
      invalid: await invalidTransitions(stage),
    });
    for (const failure of failures) progress(`  FAILED: ${failure}`);
    process.exitCode = failures.length > 0 ? 1 : 0;

    return {
      name: 'soak',
      tables: [
        {
          title: `Before and after ${minutes} minutes (seed ${seed}), without the disturbers and after a collection`,
          columns: ['', 'before', 'after'],
          rows: [
            ...(['memoryMb', 'heapMb', 'buffersMb', 'files', 'processes', 'sockets'] as const).map((key) => [
              LABELS[key],
              before[key],
              after[key],
            ]),
            ...KEPT_GROUPS.map((group) => [
              `memory of the ${group}, MB`,
              before.memoryBy[group]!,
              after.memoryBy[group]!,
            ]),
          ],
        },
        {
          title: `Memory among the disturbers, in the first and the last ${(minutes * ENDS).toFixed(1)} minutes, MB`,
          columns: ['', 'first', 'last'],
          rows: KEPT_GROUPS.map((group) => [group, first[group], last[group]]),
        },
        { title: 'What was done', columns: ['', 'times'], rows: Object.entries(done) },
        {
          title: 'Why pushes ended',
          columns: ['reason', 'pushes'],
          rows: Object.entries(countBy([...reasons.values()])),
        },
        {
          title: 'Undisturbed streams',
          columns: ['', 'frames', 'longest gap of video, ms', 'of audio, ms', 'interrupted'],
          rows: steadyStreams.map((stream) => [
            stream.name,
            stream.frames,
            stream.longestFrameGap,
            stream.longestSoundGap,
            'no',
          ]),
        },
        {
          title: 'Verdict',
          columns: ['', ''],
          rows: failures.length === 0 ? [['passed', '']] : failures.map((failure) => ['failed', failure]),
        },
      ],
      plot: {
        title: `Memory over time (seed ${seed})`,
        x: 'minutes',
        y: 'megabytes',
        series: ['all processes', ...KEPT_GROUPS].map((name) => ({
          name,
          points: samples.map(
            (sample) => [Number(sample.minute.toFixed(1)), sample.memoryBy[name] ?? sample.memoryMb] as const,
          ),
        })),
      },
      data: {
        seed,
        minutes,
        before,
        after,
        first,
        last,
        samples,
        done,
        reasons: countBy([...reasons.values()]),
        failures,
      },
    };
  } finally {
    await stage.close();
  }
}

const LABELS: Record<Exclude<keyof QuietSample, 'minute' | 'memoryBy'>, string> = {
  memoryMb: 'memory of all processes, MB',
  heapMb: 'heap of the gateway, MB',
  buffersMb: 'buffers of the gateway, MB',
  files: 'open files of the gateway',
  processes: 'child processes',
  sockets: 'sockets of the gateway and its children',
};

/** Roles of processes that live as long as the gateway. */
const KEPT_GROUPS = ['gateway', 'worker', 'audio'] as const;
type MemoryOfKept = Readonly<Record<(typeof KEPT_GROUPS)[number], Figure>>;

/** The random events, and their relative frequency. */
const ACTIONS = [
  'publish',
  'publish',
  'publish',
  'stop',
  'vanish',
  'push',
  'push',
  'push',
  'push to a closed port',
  'terminate',
  'cut',
  'cut',
  'mute',
  'transcode',
] as const;
type Action = (typeof ACTIONS)[number];

/** Causes the events that must not affect the steady streams. */
class Disturber {
  readonly #stage: BenchStage;
  readonly #random: () => number;
  readonly #deadPort: number;
  readonly #streams: string[] = [];
  #pushes: string[] = [];
  /** All pushes that it has started by REST. */
  readonly started: string[] = [];
  #count = 0;

  constructor(stage: BenchStage, random: () => number, deadPort: number) {
    this.#stage = stage;
    this.#random = random;
    this.#deadPort = deadPort;
  }

  /** @returns what was done; undefined when it was impossible just now */
  async act(): Promise<Action | undefined> {
    const action = this.#pick(ACTIONS)!;
    const { gateway, publishers, sink, rtmpUrl } = this.#stage;
    const id = this.#count++;
    const stream = this.#pick(this.#streams);
    const push = this.#pick(this.#pushes);
    if (action === 'publish') {
      if (this.#streams.length >= MAX_STREAMS) return undefined;
      const name = `moving${id}`;
      await publishers.ask('publish', {
        name,
        whip: id % 2 === 0,
        url: id % 2 === 0 ? `${gateway.httpUrl}/whip` : gateway.wsUrl,
        rtmpUrl,
      });
      this.#streams.push(name);
    } else if (action === 'stop' || action === 'vanish') {
      if (!stream) return undefined;
      this.#streams.splice(this.#streams.indexOf(stream), 1);
      await publishers.ask(action, stream);
    } else if (action === 'push' || action === 'push to a closed port' || action === 'transcode') {
      if (!stream || this.#pushes.length >= MAX_PUSHES) return undefined;
      // Stream names are not reused: the last push may still be retrying.
      const url = `${action === 'push to a closed port' ? `rtmp://127.0.0.1:${this.#deadPort}/live` : rtmpUrl}/${id}`;
      const answer = await gateway.rest('/push/startup', {
        streamName: stream,
        rtmpUrl: url,
        ...(action === 'transcode' && { height: 180 }),
      });
      if (answer.status === 200) {
        this.#pushes.push(answer.body.mediaSessionId);
        this.started.push(answer.body.mediaSessionId);
      } else if (answer.status !== 404) throw new Error(`startup answered ${answer.status}: ${answer.text}`);
    } else if (action === 'cut') {
      return stream && (await sink.ask('cut', `rtmp_${stream}`)) ? action : undefined;
    } else {
      if (!push) return undefined;
      const answer = await gateway.rest(`/push/${action}`, { mediaSessionId: push });
      if (answer.status !== 200 && answer.status !== 404)
        throw new Error(`${action} answered ${answer.status}: ${answer.text}`);
      if (action === 'terminate' || answer.status === 404) this.#pushes = this.#pushes.filter((one) => one !== push);
    }
    return action;
  }

  async endAll(): Promise<void> {
    for (const name of this.#streams.splice(0)) await this.#stage.publishers.ask('stop', name);
    this.#pushes = [];
    // Publishers that vanished are waited for.
    await waitFor(
      'all disturbers to be gone',
      async () =>
        ((await this.#stage.gateway.http('/api/v1/streams')).body as { name: string }[]).every(({ name }) =>
          name.startsWith('steady'),
        ),
      { timeout: 30_000, every: 250 },
    );
  }

  /** Milliseconds until the next event. */
  pause(): number {
    return 100 + 900 * this.#random();
  }

  #pick<Value>(from: readonly Value[]): Value | undefined {
    return from[Math.floor(this.#random() * from.length)];
  }
}

/** @param look is called between two events, every few seconds */
async function disturb(
  disturber: Disturber,
  done: Record<string, number>,
  until: number,
  look?: () => Promise<void>,
): Promise<void> {
  let nextLook = performance.now() + SAMPLE_EVERY_MS;
  while (performance.now() < until) {
    const action = await disturber.act();
    if (action) done[action] = (done[action] ?? 0) + 1;
    await sleep(disturber.pause());
    if (!look || performance.now() < nextLook) continue;
    nextLook += SAMPLE_EVERY_MS;
    await look();
  }
}

function takeSample(stage: BenchStage, minute: number): Sample {
  const { pid, ports } = stage.gateway;
  const children = childrenOf(pid).map((child) => child.pid);
  const sockets = internetSockets(pid, ports.http);
  const memoryBy = memory(gatewayGroups(pid));
  return {
    minute,
    memoryMb: total(memoryBy),
    memoryBy,
    files: openFiles(pid) - sockets.own,
    processes: children.length,
    sockets: children.reduce((sum, child) => sum + internetSockets(child, ports.http).others, sockets.others),
  };
}

async function quietSample(stage: BenchStage): Promise<QuietSample> {
  const { heapUsed, external } = await stage.gateway.collectGarbage();
  // Another thread returns the pages to the system.
  await sleep(1000);
  return { ...takeSample(stage, -1), heapMb: heapUsed / 1024 / 1024, buffersMb: external / 1024 / 1024 };
}

function typicalMemory(samples: readonly Sample[]): MemoryOfKept {
  return Object.fromEntries(
    KEPT_GROUPS.map((group) => [group, figure(samples.map(({ memoryBy }) => memoryBy[group]!))]),
  ) as MemoryOfKept;
}

/** The reason of each ended push in the gateway's history. */
async function noteReasons(stage: BenchStage, reasons: Map<string, string>): Promise<void> {
  const known = (await stage.gateway.http('/api/v1/transponders?ended=true')).body as TransponderView[];
  for (const { mediaSessionId, status, reasonCode } of known)
    if (status === 'ended') reasons.set(mediaSessionId, reasonCode || 'none');
}

/** The inodes of a process's sockets. */
function openSockets(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
    } catch {
      return []; // Closed meanwhile.
    }
  });
}

const ESTABLISHED = '01';

/** Internet sockets of a process: those of this benchmark's REST calls, and all others. */
function internetSockets(pid: number, httpPort: number): { own: number; others: number } {
  const http = `:${httpPort.toString(16).toUpperCase().padStart(4, '0')}`;
  const counts = { own: 0, others: 0 };
  try {
    const open = new Set(openSockets(pid));
    for (const table of ['tcp', 'tcp6', 'udp', 'udp6'] as const) {
      for (const line of readFileSync(`/proc/${pid}/net/${table}`, 'utf8').split('\n').slice(1)) {
        const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
        if (open.has(inode ?? '')) counts[local!.endsWith(http) && state === ESTABLISHED ? 'own' : 'others']++;
      }
    }
  } catch {
    // The process has ended.
  }
  return counts;
}

/** Waits until the processes and sockets are as before. */
async function settled(stage: BenchStage, before: Sample): Promise<QuietSample> {
  const same = (sample: Sample): boolean =>
    sample.files <= before.files && sample.processes <= before.processes && sample.sockets <= before.sockets;
  // The sample shows what remains.
  await waitFor('everything to be let go', () => same(takeSample(stage, -1)), { timeout: 15_000, every: 500 }).catch(
    () => undefined,
  );
  return quietSample(stage);
}

interface Findings {
  readonly before: QuietSample;
  readonly after: QuietSample;
  readonly first: MemoryOfKept;
  readonly last: MemoryOfKept;
  readonly steady: number;
  readonly steadyStreams: readonly {
    readonly name: string;
    readonly longestFrameGap: number;
    readonly longestSoundGap: number;
  }[];
  /** The reasons of ended pushes. */
  readonly reasons: readonly string[];
  /** Number of pushes that were started and are missing from the history. */
  readonly untold: number;
  readonly invalid: number;
}

/** Returns the failures; none if the soak passed. */
function judge({ before, after, first, last, steady, steadyStreams, reasons, untold, invalid }: Findings): string[] {
  const failures: string[] = [];
  const judgeMemory = (what: string, earlier: number, later: number, slack = MEMORY_SLACK): void => {
    if (later > earlier + Math.max((earlier * slack.percent) / 100, slack.mb))
      failures.push(`${what}: ${earlier.toFixed(1)} MB before, ${later.toFixed(1)} after`);
  };
  for (const key of ['files', 'processes', 'sockets'] as const)
    if (after[key] > before[key]) failures.push(`${LABELS[key]}: ${before[key]} before, ${after[key]} after`);
  judgeMemory(LABELS.heapMb, before.heapMb, after.heapMb, HEAP_SLACK);
  judgeMemory(LABELS.memoryMb, before.memoryMb, after.memoryMb);
  for (const group of KEPT_GROUPS)
    judgeMemory(`memory of the ${group} among the disturbers`, first[group].median, last[group].median);
  if (steadyStreams.length !== steady)
    failures.push(`${steady - steadyStreams.length} untouched streams were interrupted`);
  for (const { name, longestFrameGap, longestSoundGap } of steadyStreams)
    if (longestFrameGap > MAX_GAP_MS || longestSoundGap > MAX_GAP_MS)
      failures.push(`${name}: a gap of ${Math.max(longestFrameGap, longestSoundGap)} ms`);
  const unexplained = reasons.filter((reason) => reason === 'none').length;
  if (unexplained > 0) failures.push(`${unexplained} pushes ended without a reason`);
  if (untold > 0) failures.push(`${untold} pushes are not told to have ended`);
  if (invalid > 0) failures.push(`${invalid} invalid transitions`);
  return failures;
}

async function invalidTransitions(stage: BenchStage): Promise<number> {
  return Number(
    /^gateway_invalid_transitions_total (\d+)/m.exec((await stage.gateway.http('/metrics')).text)?.[1] ?? 0,
  );
}

function countBy(values: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}
