import { randomId } from '../client/random.js';

/** Readings, one in each second: after eight of them browsers know what the network carries. */
const READINGS = 10;
/** The first ones are of a connection that has just begun. */
const SETTLING = 2;
const RANK = { good: 0, fair: 1, poor: 2 };

/**
 * Sends media for some seconds to a stream that nobody knows.
 *
 * @param {import('../client/index.js').Session} session
 * @param {MediaStream} stream
 * @param {{ tell: (progress: string) => void, signal: AbortSignal }} options `signal`: the media has ended
 * @returns {Promise<import('../client/stats.js').PublicationStats>} of the worst second, and of the last one of those
 * @throws {Error} its message is for the user
 */
export async function testUplink(session, stream, { tell, signal }) {
  tell('Testing the uplink…');
  const publication = await session.publish({ name: `uplink-test-${randomId()}`, stream });
  try {
    return await new Promise((resolve, reject) => {
      const interrupted = () => reject(new Error('The test was interrupted: sharing has ended.'));
      if (signal.aborted) return interrupted();
      signal.addEventListener('abort', interrupted, { once: true });
      let readings = 0;
      /** @type {import('../client/stats.js').PublicationStats | undefined} */
      let worst;
      publication.on('stats', (stats) => {
        tell(`Testing the uplink… ${++readings} of ${READINGS} s`);
        if (readings > SETTLING && (!worst || RANK[stats.quality] >= RANK[worst.quality])) worst = stats;
        if (readings >= READINGS && worst) resolve(worst);
      });
      publication.on('state', (state, info) => {
        if (state === 'ended') reject(new Error(`The test was interrupted: ${info}`));
      });
    });
  } finally {
    await publication.stop().catch(() => undefined);
  }
}
