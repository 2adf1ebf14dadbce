import { connect, element, run, say, valueOf } from './example.js';

run(async () => {
  const session = await connect();
  const room = await session.room(valueOf('room'), { name: valueOf('name') });
  const publication = await room.publish({ name: `${room.name}-${crypto.randomUUID().slice(0, 8)}` });
  say(`You are ${room.name}`);

  /** What this page plays, by the name of the stream. @type {Map<string, { video: HTMLVideoElement, stop: () => unknown }>} */
  const playing = new Map();
  /** @param {string} name */
  const watch = async (name) => {
    const video = document.createElement('video');
    video.controls = true;
    const shown = { video, stop: () => {} };
    playing.set(name, shown);
    element('videos').append(video);
    const playback = await session.play({ name });
    shown.stop = () => playback.stop();
    await playback.show(video);
  };
  /** @param {string} name */
  const leave = (name) => {
    const shown = playing.get(name);
    playing.delete(name);
    shown?.video.remove();
    shown?.stop();
  };

  const update = () => {
    element('members').textContent = [room.name, ...room.members.map(({ name }) => name)].join(', ');
    const streams = new Set(room.members.flatMap((member) => member.streams));
    for (const name of playing.keys()) if (!streams.has(name)) leave(name);
    // A stream that ends meanwhile leaves the list too.
    for (const name of streams) if (!playing.has(name)) watch(name).catch(() => leave(name));
  };
  room.on('members', update);
  update();

  room.on('message', ({ from = 'guest', text }) => {
    // Texts come from others: never as HTML.
    element('chat').appendChild(document.createElement('li')).textContent = `${from}: ${text}`;
  });
  element('text').disabled = false;
  element('say').onsubmit = (/** @type {Event} */ event) => {
    event.preventDefault();
    room.send(valueOf('text'));
    element('text').value = '';
  };
  return async () => {
    for (const name of [...playing.keys()]) leave(name);
    element('text').disabled = true;
    room.leave();
    await publication.stop();
    session.close();
  };
});
