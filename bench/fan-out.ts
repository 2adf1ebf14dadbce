import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchOptions } from './bench-options.ts';
import { setBenchStage, type BenchStage } from './bench-stage.ts';
import { figure, gatewayGroups, processorLoad, total } from './measure.ts';
import { progress, type Report } from './report.ts';

/** The gateways are swapped an even number of times, so that a difference between the two processes cancels out. */
const SWAPS = 4;
const SETTLE_MS = 10_000;

/** One stream to one destination and to several, at the same moment on the same cores. */
export async function benchFanOut({ rounds, seconds, fanOut, settings, warmUp }: BenchOptions): Promise<Report> {
  const gateways: Fan[] = [];
  const loads: { one: number; many: number }[] = [];
  try {
    for (let i = 0; i < 2; i++) gateways.push(await Fan.create(settings));
    for (let swap = 0; swap < SWAPS; swap++) {
      const [one, many] = swap % 2 === 0 ? [gateways[0]!, gateways[1]!] : [gateways[1]!, gateways[0]!];
      await one.pushTo(1);
      await many.pushTo(fanOut);
      await sleep(swap === 0 ? warmUp * 1000 : SETTLE_MS);
      for (let round = 1; round <= rounds; round++) {
        const [oneLoad, manyLoad] = await Promise.all([one, many].map((fan) => fan.load(seconds)));
        loads.push({ one: oneLoad!, many: manyLoad! });
        progress(
          `  swap ${swap + 1}/${SWAPS}, round ${round}/${rounds}: ${oneLoad!.toFixed(2)} and ${manyLoad!.toFixed(2)} % of a core`,
        );
      }
    }
  } finally {
    for (const gateway of gateways) await gateway.close();
  }
  const ratios = loads.map(({ one, many }) => many / one);
  return {
    name: 'fan-out',
    tables: [
      {
        title: `One stream of 720p30, 2 Mbps, to one destination and to ${fanOut}, at the same moment: percent of one core`,
        columns: ['to one', `to ${fanOut}`, 'ratio'],
        rows: [
          [
            figure(loads.map(({ one }) => one)),
            figure(loads.map(({ many }) => many)),
            figure(acrossSwaps(ratios, rounds)),
          ],
        ],
      },
    ],
    plot: {
      title: `One stream to one destination and to ${fanOut}`,
      x: 'round',
      y: 'percent of a core',
      series: (['one', 'many'] as const).map((key) => ({
        name: key === 'one' ? 'to one' : `to ${fanOut}`,
        points: loads.map((load, index) => [index + 1, load[key]] as const),
      })),
    },
    data: { loads },
  };
}

/** The geometric mean of each round's ratio and that of the same round after the swap: a difference between the two processes cancels out. */
function acrossSwaps(ratios: readonly number[], rounds: number): number[] {
  const means: number[] = [];
  for (let swap = 0; swap < ratios.length; swap += 2 * rounds) {
    for (let i = swap; i < swap + rounds; i++) means.push(Math.sqrt(ratios[i]! * ratios[i + rounds]!));
  }
  return means;
}

const STREAM = 'fan';

/** A gateway with one stream. */
class Fan {
  readonly #stage: BenchStage;
  #pushes: string[] = [];
  #names = 0;

  private constructor(stage: BenchStage) {
    this.#stage = stage;
  }

  static async create(settings: BenchOptions['settings']): Promise<Fan> {
    const stage = await setBenchStage({ settings });
    try {
      await stage.publishers.ask('publish', { name: STREAM, url: stage.gateway.wsUrl });
    } catch (error) {
      await stage.close();
      throw error;
    }
    return new Fan(stage);
  }

  /** Ends all pushes, and starts this number of new ones. */
  async pushTo(destinations: number): Promise<void> {
    const { gateway, rtmpUrl, flowing } = this.#stage;
    for (const mediaSessionId of this.#pushes.splice(0)) await gateway.rest('/push/terminate', { mediaSessionId });
    // Stream names are not reused: the last push may still be ending.
    for (let i = 0; i < destinations; i++)
      this.#pushes.push(
        (await gateway.startPush({ streamName: STREAM, rtmpUrl: `${rtmpUrl}/${this.#names++}` })).mediaSessionId,
      );
    await flowing(destinations);
  }

  /** CPU of all its processes, in percent of a core. */
  async load(seconds: number): Promise<number> {
    return total(await processorLoad(gatewayGroups(this.#stage.gateway.pid), seconds));
  }

  close(): Promise<void> {
    return this.#stage.close();
  }
}
