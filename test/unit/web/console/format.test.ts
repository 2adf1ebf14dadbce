import t from 'tap';
import {
  bitRate,
  codecsOf,
  decoded,
  lostLately,
  streamLink,
  streamRate,
} from '../../../../src/web/console/app/format.js';

t.test('bitrates and codecs', async (t) => {
  t.strictSame([0, 640.4, 999, 1000, 2549].map(bitRate), [
    ...['0 kbit/s', '640 kbit/s', '999 kbit/s', '1.0 Mbit/s', '2.5 Mbit/s'],
  ]);
  t.equal(streamRate({}), '–', 'before the first measurement');
  t.equal(streamRate({ bitrate: 0, bytes: 5 }), '0 kbit/s');
  t.equal(codecsOf({ videoCodec: 'h264', audioCodec: 'opus' }), 'H.264 + Opus');
  t.equal(codecsOf({ videoCodec: null, audioCodec: 'other' }), 'other');
  t.equal(codecsOf({ videoCodec: null, audioCodec: null }), 'no media yet');
});

t.test('packets lost in the last ten seconds', async (t) => {
  const at = (seconds: number, packetsLost: number) => ({ at: seconds, numbers: { packetsLost } });
  t.equal(lostLately([]), 0);
  t.equal(lostLately([at(1, 5)]), 0, 'what was lost before the page was opened does not count');
  t.equal(lostLately([at(1, 0), at(20, 100), at(25, 104), at(30, 107)]), 7);
  t.equal(lostLately([at(20, 100), at(25, 0)]), 0, 'a new publisher counts from zero');
});

t.test('the address of a stream', async (t) => {
  for (const name of ['studio', 'a/b', '100 %', 'ü#?'])
    t.equal(decoded(streamLink(name).replace('#/streams/', '')), name);
  t.equal(decoded('100%'), '100%', 'an address that was typed by hand');
});
