import { connect, element, run, say, valueOf } from './example.js';

run(async () => {
  const session = await connect();
  const publication = await session.publish({ name: valueOf('name'), rtmpUrl: valueOf('url') });
  element('video').srcObject = publication.stream;
  say('Publishing');
  publication.on('state', (state, info) => say(`${state} ${info}`));
  // The gateway reconnects by itself, and says here why it had to.
  publication.on('transponder', ({ status, reason, rtmpUrl }) => {
    element('push').textContent = `${rtmpUrl}: ${status} ${reason}`;
  });
  return async () => {
    await publication.stop();
    session.close();
  };
});
