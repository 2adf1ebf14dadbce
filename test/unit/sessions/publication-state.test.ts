import t from 'tap';
import { GatewayError } from '../../../src/errors.ts';
import {
  stepPublication,
  type PublicationEvent,
  type PublicationState,
} from '../../../src/sessions/publication-state.ts';

const reason = new GatewayError('STREAM_STOPPED', 'a reason');
const lost = new GatewayError('PUBLISHER_LOST', 'vanished');
const died = new GatewayError('WORKER_DIED', 'died');

const EVENTS = {
  reserved: { type: 'reserved' },
  negotiated: { type: 'negotiated' },
  connected: { type: 'connected' },
  attached: { type: 'attached' },
  failed: { type: 'failed', reason },
  'mediaLost, may return': { type: 'mediaLost', reason: lost },
  'mediaLost, final': { type: 'mediaLost', reason: died },
  stopped: { type: 'stopped', reason },
  disconnected: { type: 'disconnected', reason },
  graceExpired: { type: 'graceExpired', reason: lost },
  streamEnded: { type: 'streamEnded', reason },
  takenOver: { type: 'takenOver', reason },
} as const satisfies Record<string, PublicationEvent>;
type EventName = keyof typeof EVENTS;

/** The next state, then the effects. Pairs that are missing change nothing. */
const TABLE: Record<PublicationState, Partial<Record<EventName, string>>> = {
  reserving: {
    reserved: 'negotiating: openSession',
    failed: 'ended: cleanUp, finish',
    stopped: 'ended: cleanUp, finish',
    disconnected: 'ended: cleanUp, finish',
  },
  negotiating: {
    negotiated: 'connecting: answer',
    failed: 'ended: cleanUp, finish',
    stopped: 'ended: cleanUp, finish',
    disconnected: 'ended: cleanUp, finish',
  },
  connecting: {
    connected: 'attaching: attach',
    failed: 'ended: cleanUp, finish',
    'mediaLost, may return': 'ended: cleanUp, finish',
    'mediaLost, final': 'ended: cleanUp, finish',
    stopped: 'ended: cleanUp, finish',
    disconnected: 'ended: cleanUp, finish',
  },
  attaching: {
    attached: 'live: startPushes',
    failed: 'ended: endStream, cleanUp, finish',
    'mediaLost, may return': 'lost: holdStream, awaitStop',
    'mediaLost, final': 'ended: endStream, cleanUp, finish',
    stopped: 'ended: endStream, cleanUp, finish',
    disconnected: 'ended: holdStream, cleanUp, finish',
    streamEnded: 'ended: cleanUp, finish',
    takenOver: 'ended: cleanUp, finish',
  },
  live: {
    failed: 'ended: endStream, cleanUp, finish',
    'mediaLost, may return': 'lost: holdStream, awaitStop',
    'mediaLost, final': 'ended: endStream, cleanUp, finish',
    stopped: 'ended: endStream, cleanUp, finish',
    disconnected: 'ended: holdStream, cleanUp, finish',
    streamEnded: 'ended: cleanUp, finish',
    takenOver: 'ended: cleanUp, finish',
  },
  lost: {
    failed: 'ended: endStream, cleanUp, finish',
    stopped: 'ended: endStream, cleanUp, finish',
    disconnected: 'ended: cleanUp, finish',
    graceExpired: 'ended: cleanUp, finish',
    streamEnded: 'ended: cleanUp, finish',
    takenOver: 'ended: cleanUp, finish',
  },
  ended: { reserved: 'ended: cleanUp', negotiated: 'ended: cleanUp' },
};

for (const [state, expected] of Object.entries(TABLE) as [PublicationState, Partial<Record<EventName, string>>][]) {
  t.test(`${state}: every event`, async (t) => {
    for (const [name, event] of Object.entries(EVENTS) as [EventName, PublicationEvent][]) {
      const step = stepPublication(state, event);
      const actual = `${step.state}: ${step.effects.map(({ type }) => type).join(', ')}`;
      t.equal(actual, expected[name] ?? `${state}: `, name);
      for (const effect of step.effects)
        if ('reason' in effect && 'reason' in event) t.equal(effect.reason, event.reason, `${name}: its reason`);
      const finish = step.effects.find((effect) => effect.type === 'finish');
      if (finish) t.match(finish, { cause: event.type }, `${name}: its cause`);
    }
  });
}
