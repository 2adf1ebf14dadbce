import { readFileSync } from 'node:fs';
import t from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { startGateway } from '../helpers/gateway.ts';
import { startLoopbackServer } from '../helpers/loopback-server.ts';
import { RtmpRoomClient } from '../helpers/rtmp-room-client.ts';
import { freePort } from '../helpers/server-process.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';
import { startWhipPageServer, WhipPage } from '../helpers/whip-page.ts';

t.setTimeout(FILE_TIMEOUT);

const rtmpPort = await freePort();
const [browser, gateway, pages] = await Promise.all([
  startChromium(),
  startGateway({ rooms: true, rooms_rtmp_port: rtmpPort, cors_origins: '*' }),
  startWhipPageServer(),
]);
t.teardown(async () => {
  await browser.close();
  await gateway.stop();
  await pages.close();
});

interface Frame {
  readonly data: { readonly value?: object; readonly status?: string };
}
const frames = async (page: WhipPage): Promise<Frame[]> =>
  (await page.heard()).map((text) => JSON.parse(text) as Frame);
const say = (page: WhipPage, frame: object): Promise<void> => page.say(JSON.stringify(frame));
const values = async (page: WhipPage): Promise<object> =>
  Object.assign({}, ...(await frames(page)).map(({ data }) => data.value)) as object;

await t.test('a publisher, a player, a page and an RTMP client share one object', async (t) => {
  const publisher = await WhipPage.open(browser, pages);
  const player = await WhipPage.open(browser, pages);
  const published = await publisher.publish(`${gateway.httpUrl}/whip/stage?scope=room1`, { dataChannel: 'rooms' });
  t.equal(published.status, 201);
  t.match(published.text, /m=application 9/);
  const played = await waitFor('the stream', async () => {
    const answer = await player.play(`${gateway.httpUrl}/whep/stage?scope=room1`, { dataChannel: 'rooms' });
    return answer.status === 201 ? answer : undefined;
  });
  t.match(played.text, /m=application 9 UDP\/DTLS\/SCTP/);
  for (const page of [publisher, player]) {
    await waitFor('an open channel', () => page.page.evaluate(`whipPage.channel.readyState === 'open'`));
    await say(page, { sharedObjectConnect: { name: 'so' } });
    await waitFor('the state', async () => (await frames(page)).length === 2);
  }
  const rtmp = await RtmpRoomClient.join(rtmpPort, 'live/room1');
  rtmp.object('so', { type: 'use' });

  // As the page of red5-websocket-chat does it: the subprotocol chat, plain text.
  await player.page.evaluate(`new Promise((resolve, reject) => {
    whipPage.chat = [];
    const socket = (whipPage.socket = new WebSocket('${gateway.httpUrl.replace('http', 'ws')}/live/room1', 'chat'));
    socket.onmessage = ({ data }) => whipPage.chat.push(data);
    socket.onopen = resolve;
    socket.onerror = reject;
  })`);
  await say(publisher, { sharedObjectSetProperty: { name: 'so', key: 'publisher', value: { list: [1, 'zwei'] } } });
  await say(player, { sharedObjectSetProperty: { name: 'so', key: 'player', value: true } });
  rtmp.object('so', { type: 'requestChange', key: 'rtmp', value: 3 });
  const all = { publisher: { list: [1, 'zwei'] }, player: true, rtmp: 3 };
  for (const page of [publisher, player])
    t.same(await waitFor('all values', async () => Object.keys(await values(page)).length === 3 && values(page)), all);
  await waitFor('all values', () => rtmp.properties.size === 3);
  t.same(Object.fromEntries(rtmp.properties), { 'so publisher': all.publisher, 'so player': true, 'so rtmp': 3 });

  await player.page.evaluate(`whipPage.socket.send('hello, room')`);
  await waitFor('the text', async () => (await publisher.heard()).includes('hello, room'));
  await waitFor('the text', () => player.page.evaluate(`whipPage.chat.includes('hello, room')`));
  await waitFor('the text', () =>
    rtmp.commands.some(([name, , , text]) => name === 'onText' && text === 'hello, room'),
  );

  await say(publisher, { send: { method: 'score', data: { home: 1 } } });
  await say(publisher, { mute: { muteAudio: true } });
  const told = await waitFor('both messages', async () => {
    const texts = (await player.heard()).filter((text) => text.startsWith('{"method"'));
    return texts.length === 2 && texts;
  });
  t.same(told, ['{"method":"score","data":{"home":1}}', '{"method":"audioMuted"}']);
  await say(player, { send: { method: 'no', data: 1 } });
  await waitFor('the refusal', async () => (await player.heard()).some((text) => text.includes('FORBIDDEN')));
  await waitFor('frames', async () =>
    (await player.flow('inbound-rtp')).streams.some(({ framesDecoded = 0 }) => framesDecoded > 10),
  );

  await publisher.page.evaluate(`whipPage.channel.send(new Uint8Array(10))`);
  await publisher.page.evaluate(`(() => {
    const set = { sharedObjectSetProperty: { name: 'so', key: 'k', value: 1 } };
    for (let sent = 0; sent < 400; sent++) whipPage.channel.send(JSON.stringify(set));
  })()`);
  await waitFor('the end of a member that is too fast', async () =>
    (await publisher.heard()).some((text) => text.includes('RATE_LIMITED')),
  );
  await waitFor('the closed channel', () => publisher.page.evaluate(`whipPage.channel.readyState === 'closed'`));
  const { framesDecoded: before = 0 } = (await player.flow('inbound-rtp')).streams.find(
    ({ kind }) => kind === 'video',
  )!;
  await waitFor('media that goes on', async () =>
    (await player.flow('inbound-rtp')).streams.some(({ framesDecoded = 0 }) => framesDecoded > before + 10),
  );
  const { text } = await gateway.http('/metrics');
  t.match(text, /^gateway_rooms_connections\{protocol="datachannel"\} 1$/m);
  rtmp.close();
  t.equal((await publisher.request('DELETE')).status, 200);
  await waitFor('the end of the player', async () =>
    /^gateway_rooms_connections\{protocol="datachannel"\} 0$/m.test((await gateway.http('/metrics')).text),
  );
});

await t.test('pages like that of red5-websocket-chat: the one of docs/rooms.md', async (t) => {
  const document = readFileSync(new URL('../../docs/rooms.md', import.meta.url), 'utf8');
  const [, html] = /```html\n(<ul id="chat">(?:(?!```)[^])*new WebSocket\((?:(?!```)[^])*)```/.exec(document)!;
  // The published page asks for the scope /chat and the subprotocol chat.
  const content = html!.replace(':8081/live/room1', `:${gateway.ports.http}/chat`);
  t.match(content, `:${gateway.ports.http}/chat\`, 'chat')`);
  const server = await startLoopbackServer((_request, response) =>
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(content),
  );
  t.teardown(() => server.close());
  const chats = await Promise.all(
    ['Ann', 'Bob', 'Eve'].map(async (name) => {
      const page = await browser.newPage();
      await page.goto(server.url);
      await waitFor('the connection', () => page.evaluate('socket.readyState === WebSocket.OPEN'));
      return { name, page };
    }),
  );
  for (let line = 0; line < 5; line++)
    await Promise.all(
      chats.map(async ({ name, page }) => {
        await page.fill('#text', `${name}: <b>${line}</b>`);
        await page.click('button');
      }),
    );
  const shown = await Promise.all(
    chats.map(({ page }) =>
      waitFor('all lines', async () => {
        const lines = (await page.evaluate(
          `[...document.querySelectorAll('#chat li')].map((line) => line.textContent)`,
        )) as string[];
        return lines.length === 15 ? lines : undefined;
      }),
    ),
  );
  t.same(shown[1], shown[0], 'the same lines in the same order, the own ones included');
  t.same(shown[2], shown[0]);
  t.equal(new Set(shown[0]).size, 15);
});
