import type { Metrics } from '../../observe/metrics.ts';
import {
  listTransponders,
  type TransponderControl,
  type TransponderStatus,
  type TransponderView,
} from './transponder-view.ts';

const LIVE_STATES: readonly TransponderStatus[] = ['connecting', 'pushing', 'retrying'];

/** Counters of ended transponders. Those of live transponders are added when `/metrics` is rendered. */
interface Totals {
  bytesSent: number;
  framesDropped: number;
}

/** Registers the metrics of all transponders. Returns a function that stops counting. */
export function registerTransponderMetrics(metrics: Metrics, control: TransponderControl): () => void {
  const ended: Totals = { bytesSent: 0, framesDropped: 0 };
  metrics.labelledGauge('gateway_transponders', 'Transponders by state.', 'state', () => {
    const views = listTransponders(control);
    return LIVE_STATES.map((state) => [state, views.filter(({ status }) => status === state).length] as const);
  });
  metrics.gauge('gateway_push_warnings', 'Rules of platforms that pushes break at the moment.', () =>
    listTransponders(control).reduce((total, { warnings = [] }) => total + warnings.length, 0),
  );
  metrics.gauge(
    'gateway_push_complying',
    'Pushes with comply that are re-encoded at the moment.',
    () => listTransponders(control).filter(({ comply }) => comply?.state === 'encoding').length,
  );
  metrics.total(
    'gateway_sent_bytes_total',
    'Bytes that RTMP servers have taken.',
    () => ended.bytesSent + sum(control, 'bytesSent'),
  );
  metrics.total(
    'gateway_frames_dropped_total',
    'Video frames that transponders have dropped because the destination was slow or the gateway was overloaded.',
    () => ended.framesDropped + sum(control, 'framesDropped'),
  );
  return countChanges(metrics, control, ended);
}

function countChanges(metrics: Metrics, control: TransponderControl, totals: Totals): () => void {
  const starts = metrics.counter('gateway_transponder_starts_total', 'Transponders started.');
  const byCode = (name: string, help: string) => metrics.labelledCounter(name, `${help}, by reason code.`, 'code');
  const ends = byCode('gateway_transponder_ends_total', 'Transponders ended');
  const retries = byCode('gateway_transponder_retries_total', 'Connections lost or refused that are retried');
  const live = new Map<string, TransponderStatus>();
  return control.onChange((view: TransponderView) => {
    const { mediaSessionId: id, status, reasonCode } = view;
    const before = live.get(id);
    if (before === undefined) starts.inc();
    if (status === 'retrying' && before !== 'retrying') retries.inc(reasonCode);
    if (status !== 'ended') {
      live.set(id, status);
      return;
    }
    live.delete(id);
    ends.inc(reasonCode);
    totals.bytesSent += view.bytesSent;
    totals.framesDropped += view.framesDropped;
  });
}

const sum = (control: TransponderControl, field: keyof Totals): number =>
  listTransponders(control).reduce((total, view) => total + view[field], 0);
