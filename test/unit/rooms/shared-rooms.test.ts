import { deepStrictEqual, ok } from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import { ANONYMOUS } from '../../../src/access/open-access.ts';
import { GatewayError } from '../../../src/errors.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import type { JoinRequest, JsonValue, RoomEvent, RoomMember } from '../../../src/rooms/room-client.ts';
import { ROOM_LIMITS } from '../../../src/rooms/room-limits.ts';
import { ScopeRooms } from '../../../src/rooms/scope-rooms.ts';
import { SharedScopes } from '../../../src/rooms/shared-scopes.ts';
import { SharedLogsModel, type ModelClient } from '../../helpers/shared-logs-model.ts';
import { randomFrom } from '../../helpers/random.ts';
import { waitFor } from '../../helpers/wait.ts';

/** Rooms of several processes, on a model of Redis that loses messages, answers and data. */

interface Process {
  readonly rooms: ScopeRooms;
  readonly scopes: SharedScopes;
  readonly logs: ModelClient;
  readonly instance: string;
}

class Cluster {
  readonly model = new SharedLogsModel();
  readonly running = new Set<string>();
  readonly processes: Process[] = [];
  #now = 0;

  constructor() {
    this.model.now = () => this.#now;
  }

  add(
    limits: Partial<typeof ROOM_LIMITS> = {},
    processes: () => Promise<ReadonlySet<string>> = async () => this.running,
  ): Process {
    const instance = `i${this.processes.length}`;
    const logs = this.model.client();
    const all = { ...ROOM_LIMITS, burst: 1_000_000, ...limits };
    let scopes!: SharedScopes;
    const rooms = new ScopeRooms({
      limits: all,
      host: { node: `n${this.processes.length}`, instance },
      source: (observe) =>
        (scopes = new SharedScopes({
          logs,
          limits: all,
          host: { node: `n${this.processes.length}`, instance },
          processes,
          observe,
          logger: silentLogger,
          now: () => this.#now,
        })),
    });
    const process = { rooms, scopes, logs, instance };
    this.running.add(instance);
    this.processes.push(process);
    return process;
  }

  /** A second passes. */
  async look(): Promise<void> {
    this.#now += 1000;
    for (const { scopes, instance } of this.processes) if (this.running.has(instance)) await scopes.look();
  }
}

async function join({ rooms }: Process, more: Partial<JoinRequest> = {}) {
  const events: RoomEvent[] = [];
  const properties = new Map<string, JsonValue>();
  const member: RoomMember = await rooms.join({
    scope: 'live',
    door: 'websocket',
    principal: { id: ANONYMOUS, actions: new Set() },
    receive: (event) => {
      events.push(event);
      if (event.type === 'state') {
        properties.clear();
        for (const [key, value] of event.properties) properties.set(key, value);
      } else if (event.type === 'changes')
        for (const change of event.changes) {
          if (change.type === 'set') properties.set(change.key, change.value);
          else if (change.type === 'delete') properties.delete(change.key);
          else if (change.type === 'clear') properties.clear();
        }
    },
    ...more,
  });
  return { member, events, properties };
}

const changesOf = (events: readonly RoomEvent[]) =>
  events.flatMap((event) => (event.type === 'changes' ? event.changes : []));
const textsOf = (events: readonly RoomEvent[]) =>
  events.flatMap((event) => (event.type === 'text' ? [event.text] : []));

t.test('a room that is opened while unused rooms are given up is not among them', async (t) => {
  for (let later = 0; later < 12; later++) {
    const cluster = new Cluster();
    const answered = Promise.withResolvers<ReadonlySet<string>>();
    const asked = Promise.withResolvers<void>();
    const process = cluster.add({}, () => {
      asked.resolve();
      return answered.promise;
    });
    const read = process.logs.read.bind(process.logs);
    process.logs.read = async (...about) => {
      const content = await read(...about);
      void (async () => {
        for (let turn = 0; turn < later; turn++) await Promise.resolve();
        answered.resolve(cluster.running);
      })();
      return content;
    };
    const looked = process.scopes.look();
    await asked.promise;
    const { member } = await join(process);
    await looked;
    await member.sendText('hello');
    t.equal((await process.scopes.find('live'))?.members.length, 1, `${later} turns later`);
  }
});

t.test(
  'clients of three processes see the same order; a member is told what a scope of one process tells',
  async (t) => {
    const cluster = new Cluster();
    const [one, two, three] = [cluster.add(), cluster.add(), cluster.add()];
    const ann = await join(one, { login: 'Ann' });
    const bob = await join(two, { login: 'Bob' });
    await t.rejects(join(three, { login: 'Ann' }), { code: 'LOGIN_IN_USE' });
    const eve = await join(three);
    await ann.member.publish('stage');
    await waitFor('the stream', () => bob.events.some(({ type }) => type === 'published'));
    t.match(bob.events, [
      { type: 'members', members: [{ login: 'Ann', streams: [] }] },
      { type: 'published', login: 'Ann' },
    ]);
    t.match(ann.events, [
      { type: 'members', members: [] },
      { type: 'joined', login: 'Bob' },
    ]);
    for (const { member } of [ann, bob, eve]) await member.connectObject('so', false);
    await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        [ann, bob, eve][index % 3]!.member.change('so', { type: 'set', key: `k${index % 5}`, value: index }),
      ),
    );
    await bob.member.sendText('hi');
    await bob.member.sendTo('Ann', 'psst');
    await waitFor('all', () => [ann, bob, eve].every(({ events }) => textsOf(events).length === 1));
    t.equal(changesOf(ann.events).length, 60);
    t.strictSame(changesOf(bob.events), changesOf(ann.events));
    t.strictSame(changesOf(eve.events), changesOf(ann.events));
    await waitFor('the message', () => ann.events.at(-1)?.type === 'message');
    t.match(ann.events.at(-1), { type: 'message', from: 'Bob', text: 'psst' });
    t.match(await three.rooms.find('live'), {
      members: [{ login: 'Ann', node: 'n0' }, { login: 'Bob', node: 'n1' }, {}],
    });
    await t.rejects(three.rooms.removeMember('live', 'nobody', new GatewayError('FORBIDDEN', '')), {
      code: 'MEMBER_NOT_FOUND',
    });
    await three.rooms.removeMember('live', bob.member.id, new GatewayError('FORBIDDEN', 'Be polite.'));
    await waitFor('the end', () => bob.events.at(-1)?.type === 'closed');
    ann.member.leave();
    eve.member.leave();
    await waitFor('the end of the scope', () => cluster.model.logs.size === 0);
    t.ok(cluster.processes.every(({ rooms }) => rooms.counts.scopes === 0));
  },
);

t.test('persistent and acquired objects stay without members, and are in lists', async (t) => {
  const cluster = new Cluster();
  const [one, two] = [cluster.add(), cluster.add()];
  const ann = await join(one);
  await ann.member.connectObject('kept', true);
  await ann.member.change('kept', { type: 'set', key: 'a', value: 1 });
  await two.rooms.acquireObject('live', 'held');
  ann.member.leave();
  await waitFor('the end', () => one.rooms.counts.scopes + two.rooms.counts.scopes === 0);
  await waitFor('the list', async () => (await two.rooms.list({ limit: 9 }))[0]?.members === 0);
  t.match(await two.rooms.list({ limit: 9 }), [{ scope: 'live', members: 0, objects: 2 }]);
  t.match(await two.rooms.find('live'), { objects: [{ name: 'kept', properties: { a: 1 } }, { acquired: 1 }] });
  await two.rooms.releaseObject('live', 'held');
  const bob = await join(two);
  await bob.member.connectObject('kept', false);
  t.strictSame([...bob.properties], [['a', 1]]);
  await one.rooms.deleteObject('live', 'kept');
  bob.member.leave();
  await waitFor('the end', () => cluster.model.logs.size === 0);
  await t.rejects(one.rooms.sendText('live', 'hi'), { code: 'ROOM_NOT_FOUND' });
});

t.test('rooms that only keep objects take no place of rooms in use, and what all keep is bounded', async (t) => {
  const cluster = new Cluster();
  const limits = { scopes: 2, persistentObjects: 2 };
  const [one, two] = [cluster.add(limits), cluster.add(limits)];
  const keep = async (scope: string) => {
    const { member } = await join(one, { scope });
    await member.connectObject('kept', true);
    return member;
  };
  const members = [await keep('a'), await keep('b')];
  for (let second = 0; second < 11; second++) await cluster.look();
  await t.rejects(join(two, { scope: 'c' }), { code: 'LIMIT_REACHED', message: /rooms_max_scopes/ });
  await join(two, { scope: 'a' });
  t.match(two.scopes.kept, { objects: 2 });
  for (const member of members) member.leave();
  for (let second = 0; second < 12; second++) await cluster.look();
  const { member } = await join(two, { scope: 'c' });
  await t.rejects(member.connectObject('new', true), { message: /rooms_max_persistent_objects/ });
  await member.connectObject('new', false);
});

t.test('members of a process that is gone are removed; one that was taken for gone brings them back', async (t) => {
  const cluster = new Cluster();
  const [one, two] = [cluster.add(), cluster.add()];
  const ann = await join(one, { login: 'Ann' });
  const bob = await join(two, { login: 'Bob' });
  await ann.member.connectObject('so', false);
  await ann.member.change('so', { type: 'set', key: 'a', value: 1 });
  await ann.member.publish('stage');
  // The process hangs: it neither looks nor hears.
  cluster.running.delete(one.instance);
  one.logs.isAway = true;
  for (let second = 0; second < 5; second++) await cluster.look();
  await waitFor('the end of Ann', () => bob.events.at(-1)?.type === 'left');
  await t.rejects(ann.member.sendText('hi'), { code: 'CLUSTER_UNAVAILABLE' });
  one.logs.isAway = false;
  cluster.running.add(one.instance);
  await cluster.look();
  await waitFor('her return', () => bob.events.at(-1)?.type === 'published');
  t.match(bob.events.slice(-2), [
    { type: 'joined', login: 'Ann' },
    { type: 'published', login: 'Ann', stream: 'stage' },
  ]);
  t.equal(ann.events.filter(({ type }) => type === 'members').length, 1, 'she is not told the members again');
  await ann.member.sendText('hi');
  await waitFor('the text', () => textsOf(bob.events).length === 1);
  await ann.member.change('so', { type: 'set', key: 'b', value: 2 });
});

t.test('all members were at a process that is gone: their logins are free soon for those who try again', async (t) => {
  const cluster = new Cluster();
  const [one, two] = [cluster.add(), cluster.add()];
  await join(one, { login: 'Ann' });
  cluster.running.delete(one.instance);
  one.logs.isAway = true;
  await t.rejects(join(two, { login: 'Ann' }), { code: 'LOGIN_IN_USE' });
  for (let second = 0; second < 5; second++) await cluster.look();
  const ann = await join(two, { login: 'Ann' });
  t.match(ann.events, [{ type: 'members', members: [] }]);
  ann.member.leave();
  await waitFor('the end of the scope', () => cluster.model.logs.size === 0);
});

t.test('Redis loses its data: nobody notices, and the order goes on', async (t) => {
  const cluster = new Cluster();
  const [one, two] = [cluster.add(), cluster.add()];
  const ann = await join(one, { login: 'Ann' });
  const bob = await join(two, { login: 'Bob' });
  for (const { member } of [ann, bob]) await member.connectObject('so', false);
  await ann.member.change('so', { type: 'set', key: 'a', value: 1 });
  await waitFor('the change', () => bob.properties.has('a'));
  const before = [ann.events.length, bob.events.length];
  cluster.model.loseData();
  await cluster.look();
  t.strictSame([ann.events.length, bob.events.length], before);
  await bob.member.change('so', { type: 'set', key: 'b', value: 2 });
  await waitFor('the change', () => ann.properties.has('b'));
  t.strictSame([...ann.properties], [...bob.properties]);
  const eve = await join(cluster.add(), {});
  await eve.member.connectObject('so', false);
  t.strictSame([...eve.properties], [...bob.properties]);
});

t.test('random operations and faults on three processes: all end with the same state', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const random = randomFrom(seed);
      const cluster = new Cluster();
      cluster.model.random = random;
      const processes = [cluster.add(), cluster.add(), cluster.add()];
      const clients = await Promise.all(
        Array.from({ length: 9 }, (_, index) => join(processes[index % 3]!, { login: `c${index}` })),
      );
      for (const { member } of clients) await member.connectObject('so', false);
      for (let step = 0; step < 150; step++) {
        const client = clients[Math.floor(random() * clients.length)]!;
        const dice = random();
        const key = `k${Math.floor(random() * 6)}`;
        const run = (promise: Promise<void>): void => void promise.catch(() => undefined);
        if (dice < 0.6) run(client.member.change('so', { type: 'set', key, value: step }));
        else if (dice < 0.75) run(client.member.change('so', { type: 'delete', key }));
        else if (dice < 0.8) run(client.member.change('so', { type: 'clear' }));
        else if (dice < 0.85) run(client.member.sendText(`t${step}`));
        else if (dice < 0.88) for (const { logs } of processes) logs.loss = random() < 0.5 ? 0.3 : 0;
        else if (dice < 0.9) processes[Math.floor(random() * 3)]!.logs.isAway = random() < 0.5;
        else if (dice < 0.91) cluster.model.loseData();
        else if (dice < 0.94) await cluster.look();
        if (random() < 0.3) await sleep(1);
      }
      for (const { logs } of processes) Object.assign(logs, { loss: 0, isAway: false });
      await waitFor('everything to arrive', async () => {
        await cluster.look();
        const states = processes.map(({ scopes }) => JSON.stringify(scopes.open.get('live')!.state.snapshot()));
        return new Set(states).size === 1;
      });
      await sleep(5);
      const { state } = processes[0]!.scopes.open.get('live')!;
      for (const { properties, events } of clients) {
        deepStrictEqual(new Map([...properties].sort()), new Map([...state.objects.get('so')!.properties].sort()));
        ok(events.every(({ type }) => type !== 'closed'));
      }
      deepStrictEqual(state.size, 9);
    }),
    { numRuns: 30, ...(process.env['FC_SEED'] && { seed: Number(process.env['FC_SEED']) }) },
  );
});
