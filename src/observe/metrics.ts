import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import type { StreamRegistry } from '../streams/stream-registry.ts';
import {
  listTransponders,
  type TransponderControl,
  type TransponderStatus,
  type TransponderView,
} from '../outputs/push/transponder-view.ts';

/** Between two samples of the event loop's delay. By default it is a timer of 10 ms, which wakes an idle process a hundred times a second. */
const EVENT_LOOP_SAMPLE_MS = 500;

export interface MetricsSources {
  readonly registry: StreamRegistry;
  readonly control: TransponderControl;
  /** Encoders that run, of sound and of video. */
  readonly encoders: () => number;
}

export interface RuntimeSources {
  readonly fastPaths: () => ReadonlyMap<string, boolean>;
  readonly overloaded: () => boolean;
  readonly latePackets: () => number;
  readonly pendingSessions: () => number;
}

const LIVE_STATES: readonly TransponderStatus[] = ['connecting', 'pushing', 'retrying'];

/** Counts of ended transponders; those of live ones are added when somebody asks. */
interface Totals {
  bytesSent: number;
  framesDropped: number;
}

/**
 * What Prometheus reads at `/metrics`. Labels are states and codes of the gateway alone: stream names and URLs would be secrets,
 * and would grow without bound.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #invalidTransitions = new Counter({
    name: 'gateway_invalid_transitions_total',
    help: 'Events that a state machine had no transition for: faults of the gateway.',
    registers: [this.#registry],
  });

  /** A registry of its own, so that two gateways in one process (tests) do not meet. */
  constructor() {
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLE_MS });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The present values in Prometheus's text format. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }

  countInvalidTransition(): void {
    this.#invalidTransitions.inc();
  }

  /** Adds the gauges of the process itself; called once. */
  observeRuntime({ fastPaths, overloaded, latePackets, pendingSessions }: RuntimeSources): void {
    new Gauge({
      name: 'gateway_fast_path',
      help: 'Whether a fast path is in use (1) or its fallback (0).',
      labelNames: ['name'],
      registers: [this.#registry],
      collect() {
        for (const [name, active] of fastPaths()) this.set({ name }, active ? 1 : 0);
      },
    });
    this.#addGauge('gateway_overloaded', 'Whether the gateway refuses new publications because it is overloaded.', () =>
      Number(overloaded()),
    );
    this.#addGauge('gateway_pending_sessions', 'WebRTC sessions that are not connected yet.', pendingSessions);
    this.#addTotal(
      'gateway_late_packets_total',
      'Video packets that were dropped because the gateway read them too late.',
      latePackets,
    );
  }

  /** Begins to watch; called once, when the parts exist. Returns how to stop. */
  observe({ registry, control, encoders }: MetricsSources): () => void {
    this.#addGauge('gateway_streams', 'Streams that are live, or held for a lost publisher.', () => registry.size);
    this.#addGauge(
      'gateway_encoders',
      'Encoders that run: one of sound for each stream that is pushed, and those of video.',
      encoders,
    );
    new Gauge({
      name: 'gateway_transponders',
      help: 'Transponders by state.',
      labelNames: ['state'],
      registers: [this.#registry],
      collect() {
        const views = listTransponders(control);
        for (const state of LIVE_STATES) this.set({ state }, views.filter(({ status }) => status === state).length);
      },
    });
    const ended: Totals = { bytesSent: 0, framesDropped: 0 };
    this.#addTotal(
      'gateway_sent_bytes_total',
      'Bytes that RTMP servers have taken.',
      () => ended.bytesSent + sum(control, 'bytesSent'),
    );
    this.#addTotal(
      'gateway_frames_dropped_total',
      'Frames that slow destinations have lost.',
      () => ended.framesDropped + sum(control, 'framesDropped'),
    );
    return this.#countChanges(control, ended);
  }

  #addGauge(name: string, help: string, value: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(value());
      },
    });
  }

  /** A counter that is counted elsewhere. */
  #addTotal(name: string, help: string, value: () => number): void {
    new Counter({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.reset();
        this.inc(value());
      },
    });
  }

  #countChanges(control: TransponderControl, totals: Totals): () => void {
    const registers = [this.#registry];
    const starts = new Counter({ name: 'gateway_transponder_starts_total', help: 'Transponders started.', registers });
    const byCode = (name: string, help: string) =>
      new Counter({ name, help: `${help}, by the code of the reason.`, labelNames: ['code'], registers });
    const ends = byCode('gateway_transponder_ends_total', 'Transponders ended');
    const retries = byCode('gateway_transponder_retries_total', 'Connections lost or refused that are tried again');
    const live = new Map<string, TransponderStatus>();
    return control.onChange((view: TransponderView) => {
      const { mediaSessionId: id, status, reasonCode } = view;
      const before = live.get(id);
      if (before === undefined) starts.inc();
      if (status === 'retrying' && before !== 'retrying') retries.inc({ code: reasonCode });
      if (status !== 'ended') {
        live.set(id, status);
        return;
      }
      live.delete(id);
      ends.inc({ code: reasonCode });
      totals.bytesSent += view.bytesSent;
      totals.framesDropped += view.framesDropped;
    });
  }
}

const sum = (control: TransponderControl, field: keyof Totals): number =>
  listTransponders(control).reduce((total, view) => total + view[field], 0);
