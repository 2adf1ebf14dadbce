import t from 'tap';
import { LostSource } from '../../../src/webrtc/lost-source.ts';

interface Second {
  /** Bytes in a quarter of a second. */
  readonly matched: number;
  readonly others: number;
  readonly silentMs: number | undefined;
}

/** How many polls it takes until the source is lost; `undefined`: it never is. */
function pollsUntilLost(second: Second, polls = 400): number | undefined {
  const source = new LostSource();
  let received = 1e6;
  let matched = 9e5;
  for (let poll = 1; poll <= polls; poll++) {
    matched += second.matched;
    received += second.matched * 1.05 + second.others;
    if (source.isSuspect(second.silentMs) && source.poll({ received, matched })) return poll;
  }
  return undefined;
}

t.test('packets that belong to no track while a track is silent', async (t) => {
  t.equal(pollsUntilLost({ matched: 1000, others: 30_000, silentMs: 600 }), 3, 'video, beside audio');
  t.equal(pollsUntilLost({ matched: 30_000, others: 4000, silentMs: 600 }), 3, 'audio, beside video');
  t.equal(pollsUntilLost({ matched: 0, others: 1000, silentMs: 600 }), 3, 'audio alone');
});

t.test('a publisher that pauses a track, and one that sends all of them', async (t) => {
  t.equal(pollsUntilLost({ matched: 1000, others: 100, silentMs: 600 }), undefined, 'ICE and RTCP');
  t.equal(pollsUntilLost({ matched: 250_000, others: 100, silentMs: 600 }), undefined, 'much video');
  t.equal(pollsUntilLost({ matched: 1000, others: 30_000, silentMs: 100 }), undefined, 'the track is not silent');
  t.equal(pollsUntilLost({ matched: 1000, others: 30_000, silentMs: undefined }), undefined, 'it is not read');
});

t.test('the worker is asked rarely about a long pause, and still often enough', async (t) => {
  const source = new LostSource();
  const asked = Array.from({ length: 400 }, () => source.isSuspect(5000)).filter(Boolean).length;
  t.ok(asked < 170, `${asked} of 400`);
  let bytes = { received: 0, matched: 0 };
  for (let i = 0; i < 100; i++) if (source.isSuspect(5000)) source.poll(bytes);
  let polls = 0;
  for (let lost = false; !lost; polls++) {
    bytes = { received: bytes.received + 30_000, matched: 0 };
    lost = source.isSuspect(5000) && source.poll(bytes);
  }
  t.ok(polls <= 12, `${polls} polls`);
});
