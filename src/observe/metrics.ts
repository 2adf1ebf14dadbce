import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';

/**
 * Interval between two samples of the event-loop delay. The default of 10 ms wakes an idle process a hundred times a
 * second.
 */
const EVENT_LOOP_SAMPLE_MS = 500;

/** Counts events under one label. */
export interface LabelledCounter {
  inc(labelValue: string): void;
}

/**
 * What Prometheus reads at `/metrics`. The parts of the gateway register their own metrics here. Label values are
 * states and codes of the gateway only: stream names and URLs would be secrets, and would grow without bound.
 */
export class Metrics {
  /** Not the global registry, so that two gateways in one process (tests) do not collide. */
  readonly #registry = new Registry();
  #scrape = 0;

  constructor() {
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLE_MS });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The current values in Prometheus's text format. */
  render(): Promise<string> {
    this.#scrape++;
    return this.#registry.metrics();
  }

  /** What several metrics show a part of: made once for each rendering. */
  perScrape<T>(make: () => T): () => T {
    let made: { readonly scrape: number; readonly value: T } | undefined;
    return () => {
      if (made?.scrape !== this.#scrape) made = { scrape: this.#scrape, value: make() };
      return made.value;
    };
  }

  /** A gauge whose value is read when `/metrics` is rendered. */
  gauge(name: string, help: string, value: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(value());
      },
    });
  }

  /** A gauge with one label; `values` gives the value for each label value when `/metrics` is rendered. */
  labelledGauge(name: string, help: string, label: string, values: () => Iterable<readonly [string, number]>): void {
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [labelValue, value] of values()) this.set({ [label]: labelValue }, value);
      },
    });
  }

  /** A counter that is incremented by the caller. */
  counter(name: string, help: string): { inc(): void } {
    return new Counter({ name, help, registers: [this.#registry] });
  }

  labelledCounter(name: string, help: string, label: string): LabelledCounter {
    const counter = new Counter({ name, help, labelNames: [label], registers: [this.#registry] });
    return { inc: (labelValue) => counter.inc({ [label]: labelValue }) };
  }

  /** A counter with one label whose totals are kept elsewhere and read when `/metrics` is rendered. */
  labelledTotal(name: string, help: string, label: string, values: () => Iterable<readonly [string, number]>): void {
    new Counter({
      name,
      help,
      labelNames: [label],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [labelValue, value] of values()) this.inc({ [label]: labelValue }, value);
      },
    });
  }

  /** A counter whose total is kept elsewhere and read when `/metrics` is rendered. */
  total(name: string, help: string, value: () => number): void {
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
}
