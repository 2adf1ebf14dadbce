import { randomId } from '../client/random.js';

/** Readings, one in each second: after eight of them browsers know what the network carries. */
const READINGS = 10;

/**
 * Sends media for some seconds to a stream that nobody knows.
 *
 * @param {import('../client/index.js').Session} session
 * @param {MediaStream} stream
 * @param {(progress: string) => void} tell
 * @returns {Promise<import('../client/stats.js').PublicationStats>} of the last second
 * @throws {Error} its message is for the user
 */
export async function testUplink(session, stream, tell) {
  tell('Testing the uplink…');
  const publication = await session.publish({ name: `uplink-test-${randomId()}`, stream });
  try {
    return await new Promise((resolve, reject) => {
      let readings = 0;
      publication.on('stats', (stats) => {
        tell(`Testing the uplink… ${++readings} of ${READINGS} s`);
        if (readings >= READINGS) resolve(stats);
      });
      publication.on('state', (state, info) => {
        if (state === 'ended') reject(new Error(`The test was interrupted: ${info}`));
      });
    });
  } finally {
    await publication.stop().catch(() => undefined);
  }
}
