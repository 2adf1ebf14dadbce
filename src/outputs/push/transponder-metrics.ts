import type { Metrics } from '../../observe/metrics.ts';
import { listTransponders, type TransponderControl } from './transponder-control.ts';
import { monotonicMsOf } from '../../runtime/wall-clock.ts';
import type { LegView, TransponderStatus, TransponderView } from '../../views/push-view.ts';

const LEG_STATES: readonly LegView['status'][] = ['idle', 'connecting', 'pushing', 'retrying', 'ended'];
const LIVE_STATES: readonly TransponderStatus[] = ['connecting', 'pushing', 'standby', 'retrying'];

/** As views call them. */
const PUSH_CODECS = ['avc1', 'vp08', 'vp09', 'av01', 'mp4a', 'Opus', 'pcma', 'pcmu', 'speex'];

/** Counters of ended transponders. Those of live transponders are added when `/metrics` is rendered. */
interface Totals {
  bytesSent: number;
  framesDropped: number;
}

/** Registers the metrics of all transponders. Returns a function that stops counting. */
export function registerTransponderMetrics(metrics: Metrics, control: TransponderControl): () => void {
  const ended: Totals = { bytesSent: 0, framesDropped: 0 };
  const viewsOf = metrics.perScrape(() => listTransponders(control));
  metrics.labelledGauge('gateway_transponders', 'Transponders by state.', 'state', () => {
    const views = viewsOf();
    return LIVE_STATES.map((state) => [state, views.filter(({ status }) => status === state).length] as const);
  });
  metrics.labelledGauge('gateway_backup_legs', 'Backup connections of pushes by state.', 'state', () => {
    const legs = viewsOf().flatMap((view) => view.legs.filter(({ leg }) => leg === 'backup'));
    return LEG_STATES.map((state) => [state, legs.filter(({ status }) => status === state).length] as const);
  });
  metrics.gauge('gateway_push_warnings', 'Rules of platforms that pushes break at the moment.', () =>
    viewsOf().reduce((total, { warnings = [] }) => total + warnings.length, 0),
  );
  metrics.gauge(
    'gateway_push_complying',
    'Pushes with comply that are re-encoded at the moment.',
    () => viewsOf().filter(({ comply }) => comply?.state === 'encoding').length,
  );
  metrics.labelledGauge('gateway_push_codecs', 'Connected pushes by the codecs that go out.', 'codec', () => {
    const names = viewsOf()
      .filter(({ status }) => status === 'pushing' || status === 'standby')
      .flatMap(({ codecs }) => (codecs ? [codecs.video, codecs.audio] : []));
    return PUSH_CODECS.map((codec) => [codec, names.filter((name) => name === codec).length] as const);
  });
  metrics.total(
    'gateway_sent_bytes_total',
    'Bytes that RTMP servers have taken.',
    () => ended.bytesSent + sum(viewsOf(), 'bytesSent'),
  );
  metrics.total(
    'gateway_frames_dropped_total',
    'Video frames that transponders have dropped because the destination was slow or the gateway was overloaded.',
    () => ended.framesDropped + sum(viewsOf(), 'framesDropped'),
  );
  const stopStandby = countStandby(metrics, control);
  const stopChanges = countChanges(metrics, control, ended);
  return () => {
    stopStandby();
    stopChanges();
  };
}

function countStandby(metrics: Metrics, control: TransponderControl): () => void {
  const begins = metrics.labelledCounter(
    'gateway_standby_total',
    'Times that a push went to standby, by reason: publisher, video or manual.',
    'reason',
  );
  /** When the standby of each push that shows one has begun, in milliseconds of `performance.now()`. */
  const since = new Map<string, number>();
  let pastMs = 0;
  metrics.total(
    'gateway_standby_seconds_total',
    'Seconds that pushes have shown standby, together.',
    () => (pastMs + [...since.values()].reduce((total, ms) => total + performance.now() - ms, 0)) / 1000,
  );
  return control.onChange(({ mediaSessionId: id, standby }) => {
    const before = since.get(id);
    if (standby && before === undefined) {
      since.set(id, monotonicMsOf(Date.parse(standby.since)));
      begins.inc(standby.reason);
    } else if (!standby && before !== undefined) {
      since.delete(id);
      pastMs += Math.max(0, performance.now() - before);
    }
  });
}

function countChanges(metrics: Metrics, control: TransponderControl, totals: Totals): () => void {
  const starts = metrics.counter('gateway_transponder_starts_total', 'Transponders started.');
  const byCode = (name: string, help: string) => metrics.labelledCounter(name, `${help}, by reason code.`, 'code');
  const ends = byCode('gateway_transponder_ends_total', 'Transponders ended');
  const retries = byCode('gateway_transponder_retries_total', 'Connections lost or refused that are retried');
  const live = new Map<string, readonly LegView['status'][]>();
  return control.onChange((view: TransponderView) => {
    const { mediaSessionId: id, status, reasonCode, legs } = view;
    const before = live.get(id);
    if (before === undefined) starts.inc();
    legs.forEach((leg, index) => {
      if (leg.status === 'retrying' && before?.[index] !== 'retrying') retries.inc(leg.reasonCode);
    });
    if (status !== 'ended') {
      live.set(
        id,
        legs.map((leg) => leg.status),
      );
      return;
    }
    live.delete(id);
    ends.inc(reasonCode);
    totals.bytesSent += view.bytesSent;
    totals.framesDropped += view.framesDropped;
  });
}

const sum = (views: readonly TransponderView[], field: keyof Totals): number =>
  views.reduce((total, view) => total + view[field], 0);
