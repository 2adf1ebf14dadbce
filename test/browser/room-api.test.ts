import type { Page } from 'playwright-core';
import t from 'tap';
import { startChromium } from '../helpers/chromium.ts';
import { startGateway } from '../helpers/gateway.ts';
import { startPageServer } from '../helpers/sdk-page.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

/** The examples of the Room API, unmodified, and the gateway's own library. */

t.setTimeout(FILE_TIMEOUT);

const [browser, pages, gateway] = await Promise.all([
  startChromium(),
  startPageServer(),
  startGateway({ rooms: true, cors_origins: '*' }),
]);
t.teardown(async () => {
  await browser.close();
  await pages.close();
  await gateway.stop();
});

interface RoomPage {
  readonly page: Page;
  /** Stream events that the gateway has sent to the page. */
  readonly streamEvents: string[];
}

async function open(example: string, room: string, login: string): Promise<RoomPage> {
  const page = await browser.newPage();
  const streamEvents: string[] = [];
  page.on('websocket', (socket) =>
    socket.on('framereceived', ({ payload }) => {
      const { message, data } = JSON.parse(String(payload)) as { message: string; data: { type: string }[] };
      if (message === 'notifyStreamEvent') streamEvents.push(data[0]!.type);
    }),
  );
  await page.goto(`${pages.url}websdk/examples/demo/streaming/${example}?roomName=${room}`);
  await page.fill('#url', gateway.wsUrl);
  await page.fill('#login', login);
  await page.click('#joinBtn');
  return { page, streamEvents };
}

const reads = (page: Page, selector: string, text: RegExp): Promise<string> =>
  waitFor(`${selector} to read ${text}`, async () => {
    const value = (await page.textContent(selector)) ?? '';
    if (!text.test(value)) throw new Error(JSON.stringify(value));
    return value || 'empty';
  });

/** Frames of the participant's video that the page has shown. */
const plays = (page: Page, display: string): Promise<boolean> =>
  waitFor(
    `the video in ${display}`,
    async () =>
      (await page.evaluate(
        `Array.from(document.querySelectorAll('#${display} video')).some((video) => video.getVideoPlaybackQuality().totalVideoFrames > 5)`,
      )) as boolean,
  );

for (const [example, room] of [
  ['conference/conference.html', 'room-a1'],
  ['video-chat/video-chat.html', 'room-b2'],
] as const)
  await t.test(`${example}: two pages meet, see each other, chat and leave`, async (t) => {
    const alice = await open(example, room, 'alice');
    await reads(alice.page, '#localStatus', /^PUBLISHING$/);
    await reads(alice.page, '#chat', /room is empty/);
    const bob = await open(example, room, 'bob');
    await reads(bob.page, '#chat', /participants: alice/);
    await reads(alice.page, '#chat', /bob - joined/);
    await reads(bob.page, '#localStatus', /^PUBLISHING$/);
    t.equal(await reads(alice.page, '#participant1Name', /bob/), 'bob');
    t.equal(await reads(bob.page, '#participant1Name', /alice/), 'alice');
    t.ok(await plays(alice.page, 'participant1Display'));
    t.ok(await plays(bob.page, 'participant1Display'));

    await alice.page.fill('#message', 'hello, bob');
    await alice.page.click('#sendMessageBtn');
    await reads(bob.page, '#chat', /alice - hello, bob/);
    await bob.page.fill('#message', 'hello, alice');
    await bob.page.click('#sendMessageBtn');
    await reads(alice.page, '#chat', /bob - hello, alice/);

    await alice.page.click('#localAudioToggle');
    await waitFor('the notice', () => bob.streamEvents.includes('audioMuted'));
    await alice.page.click('#localAudioToggle');
    await waitFor('the notice', () => bob.streamEvents.includes('audioUnmuted'));

    const twin = await open(example, room, 'alice');
    t.equal(await reads(twin.page, '#failedInfo', /./), 'The login "alice" is already in this room.');
    await twin.page.close();
    t.equal(await alice.page.textContent('#participant1Name'), 'bob', 'the first one stays');

    // Bob leaves, and returns without having left properly.
    await bob.page.click('#joinBtn');
    await reads(alice.page, '#chat', /bob - left/);
    t.equal(await reads(alice.page, '#participant1Name', /NONE/), 'NONE');
    await reads(bob.page, '#joinBtn', /^Join$/);
    await bob.page.close();
    const again = await open(example, room, 'bob');
    t.ok(await plays(again.page, 'participant1Display'));
    t.ok(await plays(alice.page, 'participant1Display'));
    await again.page.close();
    await reads(alice.page, '#chat', /bob - left.*bob - left/s);
    await alice.page.close();
  });

await t.test('the library: members, messages and an object; HTML stays text', async (t) => {
  const page = await browser.newPage();
  await page.goto(pages.url);
  const seen = (await page.evaluate(`(async () => {
    const { Session } = await import('${gateway.httpUrl}/client/index.js');
    const join = async (name) => (await Session.connect('${gateway.wsUrl}')).room('live/chat', { name });
    const list = document.body.appendChild(document.createElement('ul'));
    const ann = await join('ann');
    const told = new Promise((resolve) =>
      ann.on('message', ({ from, text }) => {
        list.appendChild(document.createElement('li')).textContent = from + ': ' + text;
        resolve();
      }),
    );
    const ben = await join('<i>ben</i>');
    const [ours, theirs] = await Promise.all([ann.object('state'), ben.object('state')]);
    const changed = new Promise((resolve) => ours.on('change', resolve));
    await theirs.set('topic', 'Welcome');
    await ben.send('<img src=x onerror="document.title = 1">');
    await Promise.all([told, changed]);
    return {
      text: list.textContent,
      elements: list.querySelectorAll('img, i').length,
      members: ann.members.map(({ name }) => name),
      topic: ours.get('topic'),
    };
  })()`)) as object;
  t.same(seen, {
    text: '<i>ben</i>: <img src=x onerror="document.title = 1">',
    elements: 0,
    members: ['<i>ben</i>'],
    topic: 'Welcome',
  });
  await page.close();
});
