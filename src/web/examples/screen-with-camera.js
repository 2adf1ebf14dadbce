import { openCamera, openScreen } from '../client/index.js';
import { connect, element, run, say, valueOf } from './example.js';
import { pictureInPicture } from './picture-in-picture.js';

run(async () => {
  const screen = await openScreen();
  const camera = await openCamera().catch((error) => {
    for (const track of screen.getTracks()) track.stop();
    throw error;
  });
  const { stream, stop } = await pictureInPicture(screen, camera);
  const session = await connect();
  const publication = await session.publish({ name: valueOf('name'), stream, videoHint: 'detail' });
  element('video').srcObject = stream;
  say('Publishing');
  publication.on('state', (state, info) => say(`${state} ${info}`));
  return async () => {
    await publication.stop();
    session.close();
    stop();
  };
});
