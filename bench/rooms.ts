import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchOptions } from './bench-options.ts';
import { setBenchStage, type BenchStage } from './bench-stage.ts';
import { BenchProcess } from './child-process.ts';
import { figure, memoryMb, percentile, processorLoad, type Figure } from './measure.ts';
import { progress, type Report } from './report.ts';
import type { MessageKind, Received, RoomMembersRequests } from './room-members-main.ts';

/** Messages per second in the scope, each by another member. */
const RATES = [1, 10, 30];
const KINDS: readonly MessageKind[] = ['change', 'text'];
/** Characters of a text or a value. */
const LENGTH = 80;
const PAUSE_MS = 1000;

interface Round extends Received {
  /** Percent of a core. */
  readonly cpu: number;
  /** Milliseconds from the publisher to the RTMP server of the stream beside the members, sorted. */
  readonly media: readonly number[];
}

interface Outcome {
  readonly members: number;
  readonly kind: MessageKind;
  readonly rate: number;
  readonly rounds: readonly Round[];
}

/** Megabytes of the gateway's process, and of its heap. */
interface Memory {
  readonly all: number;
  readonly heap: number;
}

interface Joined {
  readonly members: number;
  readonly joinMs: number;
  readonly before: Memory;
  readonly after: Memory;
  /** Percent of a core without messages. */
  readonly idleCpu: readonly number[];
}

type Members = BenchProcess<RoomMembersRequests>;

/**
 * A gateway with one pushed stream and a scope of many WebSocket members: time until a change or a text has reached all of
 * them, cost of it, memory, and the latency of the stream meanwhile.
 */
export async function benchRooms(options: BenchOptions): Promise<Report> {
  const joins: Joined[] = [];
  const outcomes: Outcome[] = [];
  for (const count of options.counts) {
    const stage = await setBenchStage({
      settings: { rooms: true, max_http_connections_per_ip: count + 100, ...options.settings },
      collectable: true,
    });
    const members: Members = await BenchProcess.start('./room-members-main.ts');
    try {
      await stage.publishers.ask('publish', { name: 's', url: stage.gateway.wsUrl, rtmpUrl: stage.rtmpUrl });
      await stage.flowing(1);
      await sleep(options.warmUp * 1000);
      joins.push(await measureJoin(stage, members, count, options));
      for (const kind of KINDS)
        for (const rate of RATES) outcomes.push({ members: count, kind, rate, rounds: await measure(kind, rate) });
    } finally {
      await members.stop();
      await stage.close();
    }

    async function measure(kind: MessageKind, rate: number): Promise<Round[]> {
      const rounds: Round[] = [];
      for (let round = 1; round <= options.rounds; round++) {
        rounds.push(await measureRound(stage, members, kind, rate, options.seconds));
        const { cpu, p50, toAll, missing, media } = rounds.at(-1)!;
        progress(
          `  ${count} members, ${rate} ${kind}s a second, round ${round}/${options.rounds}: ${cpu.toFixed(1)} %, p50 ${p50.toFixed(1)} ms, to all ${figure(toAll).median.toFixed(1)} ms, ${missing} missing, stream ${media.at(-1)?.toFixed(1)} ms at most`,
        );
      }
      return rounds;
    }
  }
  return report(joins, outcomes);
}

async function measureJoin(
  { gateway }: BenchStage,
  members: Members,
  count: number,
  { rounds, seconds }: BenchOptions,
): Promise<Joined> {
  const memory = async (): Promise<Memory> => {
    const { heapUsed } = await gateway.collectGarbage();
    return { heap: heapUsed / 1024 / 1024, all: memoryMb(gateway.pid) };
  };
  const before = await memory();
  const joinMs = await members.ask('join', { url: `${gateway.httpUrl.replace('http', 'ws')}/live/room`, count });
  const after = await memory();
  const idleCpu: number[] = [];
  for (let round = 0; round < rounds; round++)
    idleCpu.push((await processorLoad({ gateway: [gateway.pid] }, seconds))['gateway']!);
  progress(
    `  ${count} members joined in ${joinMs.toFixed(0)} ms; ${before.all.toFixed(0)} MB before, ${after.all.toFixed(0)} after`,
  );
  return { members: count, joinMs, before, after, idleCpu };
}

async function measureRound(
  { gateway, sink }: BenchStage,
  members: Members,
  kind: MessageKind,
  rate: number,
  seconds: number,
): Promise<Round> {
  await sleep(PAUSE_MS);
  await sink.ask('reset');
  const [received, load] = await Promise.all([
    members.ask('send', { kinds: [kind], rate, seconds, length: LENGTH }),
    processorLoad({ gateway: [gateway.pid] }, seconds),
  ]);
  const media = (await sink.ask('streams')).flatMap(({ latencies }) => latencies).sort((a, b) => a - b);
  return { ...received, cpu: load['gateway']!, media };
}

/** Microseconds of processor time of the gateway for each member that gets a message. */
const perDelivery = ({ members, rate, rounds }: Outcome, idle: number): Figure =>
  figure(rounds.map(({ cpu }) => ((cpu - idle) * 10_000) / (rate * members)));

function report(joins: readonly Joined[], outcomes: readonly Outcome[]): Report {
  const idleOf = (members: number): number => figure(joins.find((one) => one.members === members)!.idleCpu).median;
  const all = (rounds: readonly Round[], value: (round: Round) => number): Figure => figure(rounds.map(value));
  const toAll = ({ rounds }: Outcome, percent: number): number =>
    percentile(
      rounds.flatMap((round) => round.toAll).sort((a, b) => a - b),
      percent,
    );
  return {
    name: 'rooms',
    tables: [
      {
        title: 'WebSocket members of one scope, connected to one object, beside a pushed stream',
        columns: [
          'members',
          'joined, ms',
          'gateway before, MB',
          'after, MB',
          'KB per member',
          'of it heap',
          'CPU without messages, %',
        ],
        rows: joins.map(({ members, joinMs, before, after, idleCpu }) => [
          ...[members, Math.round(joinMs), Math.round(before.all), Math.round(after.all)],
          ...(['all', 'heap'] as const).map((key) => ((after[key] - before[key]) * 1024) / members),
          figure(idleCpu),
        ]),
      },
      {
        title: `Messages of ${LENGTH} characters, each by another member, to all: milliseconds until the last member has it, and over all members`,
        columns: [
          'members',
          'messages a second',
          'last p50',
          'last p95',
          'last p99',
          'all p50',
          'all p95',
          'all p99',
          'missing',
        ],
        rows: outcomes.map((outcome) => [
          ...[outcome.members, `${outcome.rate} ${outcome.kind}s`],
          ...[50, 95, 99].map((percent) => toAll(outcome, percent)),
          ...(['p50', 'p95', 'p99'] as const).map((key) => all(outcome.rounds, (round) => round[key])),
          outcome.rounds.reduce((sum, { missing }) => sum + missing, 0),
        ]),
      },
      {
        title: 'Cost of these messages, and latency of the stream meanwhile',
        columns: [
          'members',
          'messages a second',
          'CPU, %',
          'µs per member',
          'bytes',
          'stream p50, ms',
          'p99',
          'longest',
        ],
        rows: outcomes.map((outcome) => [
          ...[outcome.members, `${outcome.rate} ${outcome.kind}s`, all(outcome.rounds, ({ cpu }) => cpu)],
          perDelivery(outcome, idleOf(outcome.members)),
          Math.round(outcome.rounds[0]!.bytes),
          ...[50, 99].map((percent) => all(outcome.rounds, ({ media }) => percentile(media, percent))),
          all(outcome.rounds, ({ media }) => media.at(-1)!),
        ]),
      },
    ],
    plot: {
      title: 'A message in a scope: time until the last member has it, p95',
      x: 'messages a second',
      y: 'milliseconds',
      series: [...new Set(outcomes.map(({ members, kind }) => `${members} members, ${kind}s`))].map((name) => ({
        name,
        points: outcomes
          .filter(({ members, kind }) => name === `${members} members, ${kind}s`)
          .map((outcome) => [outcome.rate, toAll(outcome, 95)] as const),
      })),
    },
    data: {
      joins,
      outcomes: outcomes.map(({ rounds, ...outcome }) => ({
        ...outcome,
        rounds: rounds.map(({ media, toAll: times, ...round }) => ({
          ...round,
          toAll: figure(times),
          media: { p50: percentile(media, 50), p99: percentile(media, 99), longest: media.at(-1) },
        })),
      })),
    },
  };
}
