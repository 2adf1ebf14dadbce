import { connect, element, run, say, valueOf } from './example.js';

run(async () => {
  const session = await connect();
  const publication = await session.publish({ name: valueOf('name'), maxBitrate: 2500 });
  element('video').srcObject = publication.stream;
  say('Publishing');
  publication.on('state', (state, info) => say(`${state} ${info}`));
  publication.on('device', (kind, error) => say(error ? error.message : `Another ${kind} device has taken its place`));
  publication.on('stats', ({ bitrate, width, height, fps, loss, quality }) => {
    element('stats').textContent =
      `${quality}: ${Math.round(bitrate)} kbit/s, ${width}×${height}, ${fps} fps, ${(loss * 100).toFixed(1)} % lost`;
  });
  return async () => {
    await publication.stop();
    session.close();
  };
});
