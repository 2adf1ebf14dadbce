import type { NodeRecord } from '../../src/cluster/cluster-store.ts';

/** A node in service, as it writes itself into the store. */
export const nodeRecord = (id: string, more: Partial<NodeRecord> = {}): NodeRecord => ({
  id,
  instance: `${id}1`,
  url: `http://${id}.example`,
  wsUrl: `ws://${id}.example`,
  region: '',
  group: '',
  state: 'in-service',
  version: '1',
  capacity: 10,
  publications: 0,
  pushes: 0,
  encoders: 0,
  cpu: 0,
  overloaded: false,
  drain: 'no',
  toMove: 0,
  beat: 1,
  startedAt: 0,
  ...more,
});
