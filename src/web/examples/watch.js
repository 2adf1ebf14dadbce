import { connect, element, run, say, valueOf } from './example.js';

run(async () => {
  const session = await connect();
  const playback = await session.play({ name: valueOf('name') });
  playback.on('ended', (info) => say(info));
  await playback.show(element('video'));
  say('Playing');
  return async () => {
    await playback.stop();
    session.close();
  };
});
