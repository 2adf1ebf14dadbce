import t from 'tap';
import { uplinkSample, uplinkVerdict, type UplinkSample } from '../../../../src/web/console/uplink.js';

const BEFORE: UplinkSample = { at: 1000, bytes: 0, lost: 0, roundTripMs: 20, limitation: 'none' };
/** Two seconds later, with 1500 kbit/s. */
const NOW: UplinkSample = { ...BEFORE, at: 3000, bytes: 375_000 };

t.test('the uplink in words', async (t) => {
  t.strictSame(uplinkVerdict(BEFORE, NOW), {
    tone: 'good',
    text: 'Uplink: good (1500 kbit/s, 0 % lost, round trip 20 ms).',
  });
  for (const [change, tone, text] of [
    [{ lost: 0.03 }, 'warn', /viewers may see the loss \(1500 kbit\/s, 3 % lost/],
    [{ lost: 0.12 }, 'bad', /packets are lost .*12 % lost/],
    [{ roundTripMs: 400 }, 'warn', /long .*400 ms/],
    [{ limitation: 'bandwidth' }, 'warn', /too slow for this resolution/],
    [{ limitation: 'cpu' }, 'warn', /This computer is too slow/],
    [{ bytes: 0 }, 'bad', /nothing is sent/],
  ] as const)
    t.match(uplinkVerdict(BEFORE, { ...NOW, ...change }), { tone, text }, JSON.stringify(change));
});

t.test('a sample of the statistics of a connection', async (t) => {
  const report = new Map<string, object>(
    [
      { type: 'outbound-rtp', kind: 'audio', bytesSent: 1000 },
      { type: 'outbound-rtp', kind: 'video', bytesSent: 9000, qualityLimitationReason: 'bandwidth' },
      { type: 'remote-inbound-rtp', kind: 'audio', fractionLost: 0.01, roundTripTime: 0.02 },
      { type: 'remote-inbound-rtp', kind: 'video', fractionLost: 0.05, roundTripTime: 0.03 },
      { type: 'transport', bytesSent: 20_000 },
    ].map((entry, index) => [String(index), entry]),
  );
  t.strictSame(uplinkSample(report as never, 5), {
    ...{ at: 5, bytes: 10_000, lost: 0.05, roundTripMs: 30, limitation: 'bandwidth' },
  });
});
