import { parseArgs } from 'node:util';
import type { SettingsOverrides } from '../test/helpers/gateway.ts';
import { BenchError } from './bench-error.ts';

export interface BenchOptions {
  /** Number of measurements, of which the median is taken. */
  readonly rounds: number;
  /** Length of a round. */
  readonly seconds: number;
  readonly warmUp: number;
  /** Numbers of streams or destinations, measured one after the other. */
  readonly counts: readonly number[];
  /** Destinations of each stream where `streams` measures with more than one. */
  readonly fanOut: number;
  readonly minutes: number;
  readonly seed: number;
  readonly settings: SettingsOverrides;
  /** Whether the ffmpeg of `rivals` uses libavcodec's fast AAC coder, which is not its default. */
  readonly fastCoder: boolean;
  /** The other source tree of `versus`. */
  readonly other: string | undefined;
}

export interface BenchDefaults {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUp: number;
  readonly counts: readonly number[];
}

/** @throws {BenchError} that names the option */
export function parseOptions(args: readonly string[], defaults: BenchDefaults): BenchOptions {
  const values = parse(args);
  const number = (
    name: 'rounds' | 'seconds' | 'warm-up' | 'fan-out' | 'minutes' | 'seed',
    otherwise: number,
  ): number => {
    const value = values[name] === undefined ? otherwise : Number(values[name]);
    if (!(value >= 0)) throw new BenchError(`--${name} must be a number, 0 or more`);
    return value;
  };
  const counts = values.counts?.split(',').map(Number) ?? defaults.counts;
  if (!counts.every((count) => Number.isInteger(count) && count > 0))
    throw new BenchError('--counts must be whole numbers above 0, with commas between them: 1,10');
  return {
    rounds: Math.max(1, number('rounds', defaults.rounds)),
    seconds: Math.max(1, number('seconds', defaults.seconds)),
    warmUp: number('warm-up', defaults.warmUp),
    counts,
    fanOut: number('fan-out', 10),
    minutes: number('minutes', 2),
    seed: number('seed', Math.floor(Math.random() * 1e9)),
    settings: Object.fromEntries((values.set ?? []).map(setting)),
    fastCoder: values['fast-coder'],
    other: values.other,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
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
        other: { type: 'string' },
        'fast-coder': { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    throw new BenchError((error as Error).message);
  }
}

function setting(pair: string): [key: string, value: string] {
  const equals = pair.indexOf('=');
  if (equals < 1) throw new BenchError('--set must be KEY=VALUE');
  return [pair.slice(0, equals), pair.slice(equals + 1)];
}
