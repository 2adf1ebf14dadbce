import type { Metrics } from '../observe/metrics.ts';
import type { Calls } from './call/calls.ts';
import { isOver, type CallStatus } from './call/call-state.ts';
import type { PortPool } from './media/port-pool.ts';
import type { Registrations } from './registration/registrations.ts';
import type { TransactionLayer } from './transaction/transaction-layer.ts';
import type { SipTransport } from './transport/sip-transport.ts';

export interface SipMetricsSources {
  readonly calls: Calls;
  readonly registrations: Pick<Registrations, 'get'>;
  readonly transport: SipTransport;
  readonly layer: TransactionLayer;
  readonly ports: PortPool;
}

/** No numbers and no names of streams are in the labels. */
export function registerSipMetrics(
  metrics: Metrics,
  { calls, registrations, transport, layer, ports }: SipMetricsSources,
): void {
  const ended = metrics.labelledCounter(
    'gateway_calls_ended_total',
    'Calls that are over, by the code of the end.',
    'code',
  );
  calls.on('call', ({ status, end }) => {
    if (isOver(status)) ended.inc(end?.error.code ?? 'SIP_ENDED');
  });
  metrics.labelledGauge('gateway_calls', 'Calls by their status.', 'status', () => {
    const counts = new Map<CallStatus, number>();
    for (const { status } of calls.active) counts.set(status, (counts.get(status) ?? 0) + 1);
    return counts;
  });
  metrics.labelledGauge('gateway_sip_registrations', 'Accounts of sip_register by their state.', 'state', () => {
    const counts = new Map<string, number>();
    for (const { state } of registrations.get()) counts.set(state, (counts.get(state) ?? 0) + 1);
    return counts;
  });
  metrics.labelledTotal('gateway_sip_messages_total', 'SIP messages by what became of them.', 'result', () => [
    ['sent', transport.counts.sent],
    ['received', transport.counts.received],
    ['malformed', transport.counts.malformed],
    ['refused', transport.counts.refused + layer.dropped],
  ]);
  metrics.gauge('gateway_sip_transactions', 'SIP transactions.', () => layer.size);
  metrics.gauge(
    'gateway_sip_ports',
    'Bound ports for the media of calls, those of ended calls included.',
    () => ports.size,
  );
}
