import t from 'tap';
import { StatsReader } from '../../../../src/web/client/stats.js';

const reports = (bytes: number, { loss = 0, rtt = 0.05, limited = 'none' } = {}) => [
  { type: 'outbound-rtp', kind: 'audio', bytesSent: 1000 },
  {
    ...{ type: 'outbound-rtp', kind: 'video', bytesSent: bytes, framesPerSecond: 30, frameWidth: 1280 },
    ...{ frameHeight: 720, qualityLimitationReason: limited },
  },
  { type: 'remote-inbound-rtp', kind: 'audio', fractionLost: 0, roundTripTime: rtt },
  { type: 'remote-inbound-rtp', kind: 'video', fractionLost: loss },
  { type: 'codec' },
];

t.test('what was sent since the last report', async (t) => {
  const reader = new StatsReader();
  t.equal(reader.read(reports(10_000), 1000), undefined, 'the first one has nothing to be compared with');
  t.strictSame(reader.read(reports(260_000), 2000), {
    ...{ bitrate: 2000, fps: 30, width: 1280, height: 720, loss: 0, roundTripMs: 50 },
    ...{ quality: 'good', limit: '' },
  });
  t.equal(reader.read(reports(5000), 3000), undefined, 'a new connection');
  t.match(reader.read(reports(5000 + 125_000), 5000), { bitrate: 500 });
});

t.test('the verdict', async (t) => {
  const verdict = (impairment: object, bytes = 250_000) => {
    const reader = new StatsReader();
    for (let second = 0; second < 9; second++) reader.read(reports(second), second * 1000);
    const { quality, limit } = reader.read(reports(8 + bytes, impairment), 9000)!;
    return [quality, limit];
  };
  t.strictSame(verdict({}), ['good', '']);
  t.strictSame(verdict({ loss: 0.01, rtt: 0.2 }), ['good', '']);
  t.strictSame(verdict({ loss: 0.05, limited: 'cpu' }), ['fair', 'loss']);
  t.strictSame(verdict({ loss: 0.2 }), ['poor', 'loss']);
  t.strictSame(verdict({ rtt: 0.4 }), ['fair', 'delay']);
  t.strictSame(verdict({ rtt: 1, loss: 0.05 }), ['poor', 'delay']);
  t.strictSame(verdict({ limited: 'bandwidth' }), ['fair', 'bandwidth']);
  t.strictSame(verdict({ limited: 'cpu' }), ['fair', 'cpu']);
  t.strictSame(verdict({}, 0), ['poor', 'nothing']);
});

t.test('browsers begin slowly: that says nothing about the network', async (t) => {
  const reader = new StatsReader();
  const limits = [];
  for (let second = 0; second < 12; second++)
    limits.push(reader.read(reports(second * 100_000, { limited: 'bandwidth' }), second * 1000)?.limit);
  t.strictSame(limits, [undefined, ...Array(7).fill(''), ...Array(4).fill('bandwidth')]);
  reader.read(reports(0), 12_000);
  t.match(reader.read(reports(100_000, { limited: 'bandwidth' }), 13_000), { limit: '' }, 'nor of a new connection');
});
