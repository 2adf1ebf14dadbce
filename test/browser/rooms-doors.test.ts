import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import t from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { activate } from '../helpers/console-page.ts';
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
  // Each kilobyte counts as a message. The reason waits behind the texts, which come back to their sender.
  await publisher.page.evaluate(`for (let sent = 0; sent < 10; sent++) whipPage.channel.send('x'.repeat(30 * 1024))`);
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
  for (const { page } of [publisher, player]) await page.close();
});

await t.test('pages like that of red5-websocket-chat: the one of docs/rooms.md', async (t) => {
  const document = await readFile(join(import.meta.dirname, '../../docs/rooms.md'), 'utf8');
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
  // A connection is open before its client is a member.
  await waitFor('the members', async () => (await gateway.http('/api/v1/rooms/chat')).body.members?.length === 3);
  for (let line = 0; line < 5; line++)
    await Promise.all(
      chats.map(async ({ name, page }) => {
        await page.fill('#text', `${name}: <b>${line}</b>`);
        // Each line moves the button: a click could miss it.
        await page.press('#text', 'Enter');
      }),
    );
  const shown = await Promise.all(
    chats.map(({ page }) =>
      waitFor('all lines', async () => {
        const lines = (await page.evaluate(
          `[...document.querySelectorAll('#chat li')].map((line) => line.textContent)`,
        )) as string[];
        if (lines.length < 15) throw new Error(lines.join(', '));
        return lines;
      }),
    ),
  );
  t.same(shown[1], shown[0], 'the same lines in the same order, the own ones included');
  t.same(shown[2], shown[0]);
  t.equal(new Set(shown[0]).size, 15);
});

await t.test('the console shows rooms, and changes them', async (t) => {
  const guest = await browser.newPage();
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  t.teardown(() => Promise.all([guest.close(), page.close()]));
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  const hostile = '<img src=x onerror=document.title="hacked">';
  await guest.goto(`${gateway.httpUrl}/console/whip.html`);
  await guest.evaluate(
    `import('/client/index.js').then(async ({ Session }) => {
      const session = await Session.connect(${JSON.stringify(gateway.wsUrl)});
      window.events = [];
      const room = await session.room('show/stage', { name: ${JSON.stringify(hostile)} });
      room.on('message', ({ from, text }) => window.events.push(from + ': ' + text));
      room.on('closed', (reason) => window.events.push('closed ' + reason.code));
      const object = await room.object('score ${hostile.replaceAll('"', '\\"')}', { persistent: true });
      await object.set('home', 1);
      await object.set(${JSON.stringify(hostile)}, { text: ${JSON.stringify(hostile)}, list: [1, null] });
      await object.set('away', 0);
      const other = await session.room('show/other', { name: 'Bob' });
      await other.object('empty');
    })`,
  );
  const attributes = { topic: 'Quarter-final', language: ['en', 'de'] };
  await gateway.http('/api/v1/rooms/show%2Fstage', {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ attributes, maxMembers: 50 }),
  });
  page.on('dialog', (dialog) => void dialog.accept());
  await page.goto(gateway.httpUrl);
  await page.getByRole('link', { name: 'Rooms', exact: true }).click();
  await page.getByLabel('Path begins with').fill('show/');
  await page.locator('#state', { hasText: '2 rooms, 2 members' }).waitFor();
  const room = page.locator('.room', { hasText: 'show/stage' });
  await room.locator('summary').click();
  await room.getByText(hostile, { exact: true }).first().waitFor();
  await room.locator('dd', { hasText: JSON.stringify({ text: hostile, list: [1, null] }) }).waitFor();
  await room.locator('dd', { hasText: '"Quarter-final"' }).waitFor();
  t.equal(await page.locator('img').count(), 1, 'what clients send is text');
  t.not(await page.title(), 'hacked');
  const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  for (const [width, colorScheme] of [
    [1280, 'light'],
    [380, 'dark'],
  ] as const) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme });
    await page.evaluate(axe);
    const violations = await page.evaluate(
      `axe.run({ rules: { 'target-size': { enabled: true } } }).then(({ violations }) =>
        violations.map(({ id, nodes }) => [id, ...nodes.map(({ html, failureSummary }) => html + failureSummary)]))`,
    );
    t.same(violations, [], `${width} px, ${colorScheme}`);
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), width, 'no horizontal scrolling');
    const folder = process.env['SCREENSHOTS'];
    if (folder) await page.screenshot({ path: `${folder}/rooms-${colorScheme}.png`, fullPage: true });
  }

  const heard = (text: string) =>
    waitFor(text, async () => (await guest.evaluate<string[]>('window.events')).includes(text));
  await room.getByLabel('Text to all members').fill('Five minutes');
  await activate(room.getByRole('button', { name: 'Send' }));
  await heard('Operator: Five minutes');
  await activate(room.getByRole('button', { name: /^Delete the object/ }));
  await room.getByText('None.').waitFor();
  await activate(room.getByRole('button', { name: /^Remove the member/ }));
  await heard('closed TERMINATED');
  await page.locator('#state', { hasText: '1 room, 1 member' }).waitFor();
  t.equal(await room.count(), 0);
  t.same(faults, []);
});

await t.test('the examples of the documents are clients of one room', async (t) => {
  const root = join(import.meta.dirname, '../..');
  const example = async (document: string, start: string): Promise<string> => {
    const text = await readFile(join(root, 'docs', document), 'utf8');
    const blocks = [...text.matchAll(/^```(?:html|js)\n(.*?)^```/gms)].map(([, code]) => code!);
    return blocks
      .find((code) => code.includes(start))!
      .replaceAll('localhost', '127.0.0.1')
      .replaceAll(':8081', `:${gateway.ports.http}`)
      .replaceAll(':8080', `:${gateway.ports.ws}`);
  };
  const files: Record<string, string> = {
    '/websocket': await example('rooms.md', "'chat');"),
    '/library': await example('client.md', 'session.room('),
    '/room-api': await example('rooms.md', 'RoomApi.connect'),
    '/data-channel': `<video></video><script type="module">${await example('rooms.md', 'createDataChannel')}</script>`,
    '/flashphoner-room-api.js': await readFile(
      join(root, 'node_modules/@flashphoner/websdk/flashphoner-room-api.js'),
      'utf8',
    ),
  };
  const server = await startLoopbackServer(({ url = '' }, response) => {
    const type = url.endsWith('.js') ? 'text/javascript' : 'text/html';
    response.writeHead(url in files ? 200 : 404, { 'content-type': `${type}; charset=utf-8` }).end(files[url]);
  });
  const context = await browser.newContext();
  const publisher = await WhipPage.open(browser, pages);
  t.teardown(async () => {
    await publisher.page.close();
    await context.close();
    await server.close();
  });
  const open = async (path: string, name = ''): Promise<Page> => {
    const page = await context.newPage();
    page.on('dialog', (dialog) => void dialog.accept(name));
    await page.goto(server.url + path);
    return page;
  };
  const shows = (page: Page, text: string): Promise<void> =>
    page.locator('#chat li').getByText(text, { exact: true }).waitFor();
  const write = async (page: Page, text: string): Promise<void> => {
    await page.fill('#text', text);
    await page.press('#text', 'Enter');
  };

  const [webSocket, library] = await Promise.all([open('websocket'), open('library', 'Ann')]);
  await waitFor('both members', async () => {
    const { body } = await gateway.http('/api/v1/rooms/live%2Froom1');
    return body.members?.length === 2;
  });
  await write(library, 'from the library');
  await shows(webSocket, 'from the library');
  await write(webSocket, 'from the WebSocket');
  await shows(library, 'guest: from the WebSocket');

  t.equal((await publisher.publish(`${gateway.httpUrl}/whip/stage`)).status, 201);
  await waitFor('the stream', async () => (await gateway.http('/api/v1/streams')).body.length === 1);
  const dataChannel = await open('data-channel');
  const heard: string[] = [];
  dataChannel.on('console', (message) => heard.push(message.text()));
  await shows(webSocket, 'Hello, room1');
  await shows(library, 'guest: Hello, room1');
  await write(webSocket, 'to the data channel');
  await waitFor('the text', () => heard.includes('to the data channel'));

  const ann = await open('room-api', 'Ann');
  await shows(ann, 'nobody else');
  const bob = await open('room-api', 'Bob');
  await shows(bob, 'Ann');
  await shows(ann, 'Bob joined');
  await write(bob, 'from the Room API');
  await shows(ann, 'Bob: from the Room API');
});
