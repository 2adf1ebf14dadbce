import type { Test } from 'tap';
import { BenchProcess } from '../../bench/child-process.ts';
import type { PublisherRequests } from '../../bench/publishers-main.ts';
import type { SinkRequests, SinkStream } from '../../bench/sink-main.ts';
import { startGateway, type SettingsOverrides, type TestGateway } from './gateway.ts';
import { peakMemory } from './processes.ts';
import { waitFor } from './wait.ts';

const VIDEO_KBPS = 800;
export const NEIGHBOURS = ['one', 'two', 'three', 'four'];
/**
 * Milliseconds from a publisher to the RTMP server. Without the guards an attack delays all streams by 1.5 to 4.9 s;
 * attackers that use all cores delay each of the four processes of the way by up to 100 ms.
 */
const MAX_LATENCY = 1000;
/** Adjacent timestamps, in milliseconds: what is dropped while the gateway is late. An attack without guards costs more. */
const MAX_GAP = 1000;
/** Adjacent timestamps, in milliseconds, of 30 frames per second: one that is lost makes 66. */
const NO_LOSS_GAP = 50;
/** A second. */
const MAX_SILENT_FRAMES = 47;
/** Video frames that are awaited after an attack: it may have effects that come late. */
const FRAMES_AFTER = 45;
/** Megabytes. */
const MAX_GATEWAY_GROWTH = 120;
/** Milliseconds between two looks at the processes. */
const LOOK_INTERVAL = 25;

/** Highest figures of the gateway's ffmpegs, without those that encode audio. */
export interface Ffmpegs {
  atOnce: number;
  /** Megabytes of one of them. */
  memory: number;
  /** Number of different ones. */
  readonly pids: Set<number>;
}

/**
 * A gateway under attack: its neighbours are publishers in a process of their own that are pushed to an RTMP server in another
 * one. Each of their video frames contains the time when it was sent.
 */
export class AttackStage {
  readonly gateway: TestGateway;
  readonly sink: BenchProcess<SinkRequests>;
  readonly rtmpUrl: string;
  readonly #publishers: BenchProcess<PublisherRequests>;

  private constructor(
    gateway: TestGateway,
    sink: BenchProcess<SinkRequests>,
    publishers: BenchProcess<PublisherRequests>,
    rtmpUrl: string,
  ) {
    this.gateway = gateway;
    this.sink = sink;
    this.#publishers = publishers;
    this.rtmpUrl = rtmpUrl;
  }

  /** @param query of the publishers' WebSocket URL */
  static async start(settings: SettingsOverrides, query = ''): Promise<AttackStage> {
    const [gateway, sink, publishers] = await Promise.all([
      startGateway(settings),
      BenchProcess.start<SinkRequests>('./sink-main.ts'),
      BenchProcess.start<PublisherRequests>('./publishers-main.ts', [String(VIDEO_KBPS)]),
    ]);
    const rtmpUrl = `rtmp://127.0.0.1:${await sink.ask('listen', 0)}/live`;
    const stage = new AttackStage(gateway, sink, publishers, rtmpUrl);
    for (const name of NEIGHBOURS) await publishers.ask('publish', { name, url: gateway.wsUrl + query, rtmpUrl });
    await stage.#pushedFrames(60);
    return stage;
  }

  async stop(): Promise<void> {
    await this.#publishers.stop();
    await this.gateway.stop();
    await this.sink.stop();
  }

  /**
   * Carries out an attack. Fails if a push of the neighbours ends, loses frames, has silence or falls behind, or if the gateway's memory
   * grows.
   */
  async underAttack(t: Test, attack: () => Promise<void>): Promise<Ffmpegs> {
    const { gateway, sink } = this;
    const memoryBefore = peakMemory(gateway.pid);
    const ffmpegs: Ffmpegs = { atOnce: 0, memory: 0, pids: new Set() };
    const looks = setInterval(() => {
      const running = gateway
        .children()
        .filter(({ role, args }) => role !== 'audio-encoder' && args[0]!.endsWith('ffmpeg'));
      ffmpegs.atOnce = Math.max(ffmpegs.atOnce, running.length);
      for (const { pid } of running) {
        ffmpegs.memory = Math.max(ffmpegs.memory, peakMemory(pid));
        ffmpegs.pids.add(pid);
      }
    }, LOOK_INTERVAL);
    try {
      await sink.ask('reset');
      await attack();
      const most = Math.max(...(await sink.ask('streams')).map(({ frames }) => frames));
      await this.#pushedFrames(most + FRAMES_AFTER);
    } finally {
      clearInterval(looks);
    }
    for (const stream of await this.#neighbours()) {
      const { longestFrameGap, longestSoundGap, longestArrivalGap, silentFrames } = stream;
      const latency = Math.max(...stream.latencies);
      const figures = `${stream.name}: latency ${latency.toFixed(0)} ms, gaps ${longestFrameGap} and ${longestSoundGap} ms, ${longestArrivalGap.toFixed(0)} ms between arrivals, ${silentFrames} silent frames`;
      t.ok(
        stream.endedAt === 0 &&
          latency < MAX_LATENCY &&
          longestFrameGap < MAX_GAP &&
          longestSoundGap < MAX_GAP &&
          silentFrames <= MAX_SILENT_FRAMES,
        figures,
      );
      t.comment(figures);
    }
    const growth = peakMemory(gateway.pid) - memoryBefore;
    t.ok(growth < MAX_GATEWAY_GROWTH, `${growth.toFixed(0)} MB more`);
    t.comment(
      `${growth.toFixed(0)} MB more; ${ffmpegs.pids.size} ffmpegs, ${ffmpegs.atOnce} at once, ${ffmpegs.memory.toFixed(0)} MB`,
    );
    return ffmpegs;
  }

  /** Carries out an attack beside the pushes. Fails if one of them ends or loses frames; the times of frames do not count. */
  async losesNoFrame(t: Test, attack: () => Promise<void>): Promise<void> {
    await this.sink.ask('reset');
    await attack();
    const most = Math.max(...(await this.sink.ask('streams')).map(({ frames }) => frames));
    await this.#pushedFrames(most + FRAMES_AFTER);
    for (const { name, endedAt, frames, longestFrameGap, silentFrames } of await this.#neighbours())
      t.ok(
        endedAt === 0 && longestFrameGap < NO_LOSS_GAP && silentFrames <= MAX_SILENT_FRAMES,
        `${name}: ${frames} frames, at most ${longestFrameGap} ms apart, ${silentFrames} silent frames`,
      );
  }

  async #neighbours(): Promise<SinkStream[]> {
    const streams = await this.sink.ask('streams');
    return streams.filter(({ name }) => NEIGHBOURS.some((neighbour) => name === `rtmp_${neighbour}`));
  }

  async #pushedFrames(frames: number): Promise<void> {
    await waitFor('frames of all neighbours', async () => {
      const streams = await this.#neighbours();
      return streams.length === NEIGHBOURS.length && streams.every((stream) => stream.frames >= frames);
    });
  }
}
