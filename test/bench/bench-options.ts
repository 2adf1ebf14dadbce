import { parseArgs } from 'node:util';
import type { SettingsOverrides } from '../helpers/gateway.ts';

export interface BenchOptions {
  /** Measurements of the same thing, from which the median is taken. */
  readonly rounds: number;
  /** Of one round. */
  readonly seconds: number;
  readonly warmUp: number;
  /** How many streams, or destinations, one after the other. */
  readonly counts: readonly number[];
  /** Destinations of each stream where `streams` measures with more than one. */
  readonly fanOut: number;
  readonly minutes: number;
  readonly seed: number;
  readonly settings: SettingsOverrides;
  /** Whether the ffmpeg of `rivals` gets the quick AAC coder that we use too, and that nobody gets who does not ask for it. */
  readonly fastCoder: boolean;
}

export interface BenchDefaults {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUp: number;
  readonly counts: readonly number[];
}

/** @throws {Error} with a message for the command line */
export function parseOptions(args: readonly string[], defaults: BenchDefaults): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      'warm-up': { type: 'string' },
      counts: { type: 'string' },
      'fan-out': { type: 'string' },
      minutes: { type: 'string' },
      seed: { type: 'string' },
      set: { type: 'string', multiple: true },
      'fast-coder': { type: 'boolean', default: false },
    },
  });
  const number = (name: 'rounds' | 'seconds' | 'warm-up' | 'fan-out' | 'minutes' | 'seed', otherwise: number): number => {
    const value = values[name] === undefined ? otherwise : Number(values[name]);
    if (!(value >= 0)) throw new Error(`--${name} must be a number`);
    return value;
  };
  const settings = Object.fromEntries((values.set ?? []).map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
  return {
    rounds: Math.max(1, number('rounds', defaults.rounds)),
    seconds: Math.max(1, number('seconds', defaults.seconds)),
    warmUp: number('warm-up', defaults.warmUp),
    counts: values.counts?.split(',').map(Number) ?? defaults.counts,
    fanOut: number('fan-out', 10),
    minutes: number('minutes', 2),
    seed: number('seed', Math.floor(Math.random() * 1e9)),
    settings,
    fastCoder: values['fast-coder'],
  };
}
