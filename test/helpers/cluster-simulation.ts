import { ClusterDirectory } from '../../src/cluster/cluster-directory.ts';
import { ClusterNode } from '../../src/cluster/cluster-node.ts';
import { BEAT_MS, type HoldAnswer, type NodeIdentity } from '../../src/cluster/cluster-store.ts';
import { GiveStreams } from '../../src/cluster/give-streams.ts';
import { createIsGone, type Liveness } from '../../src/cluster/node-liveness.ts';
import { NodeRegistry } from '../../src/cluster/node-registry.ts';
import { PushRestore } from '../../src/cluster/push-restore.ts';
import { StoredPushes, type StoredPush } from '../../src/cluster/stored-pushes.ts';
import { TakeOver } from '../../src/cluster/take-over.ts';
import { TakeStreams } from '../../src/cluster/take-streams.ts';
import { GatewayError } from '../../src/errors.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import type { PushReach } from '../../src/outputs/push/leg-state.ts';
import type { PushOrder } from '../../src/outputs/push/record/push-record.ts';
import type { StreamLease } from '../../src/streams/directory.ts';
import { ModelStore, RedisModel } from './cluster-redis-model.ts';
import { randomFrom } from './random.ts';

/**
 * A cluster without media on a clock of its own: the real directory, heartbeat, placement, stored pushes and take-over
 * over the model of Redis, with publishers that come back and faults at random moments. The same seed gives the same run.
 */

export interface SimulationOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly streams: number;
  /** For a test of the checks: nodes do not learn that they have lost a name. */
  readonly withoutFencing?: boolean;
}

export interface SimulationResult {
  readonly faults: number;
  readonly violations: readonly string[];
  readonly summary: Readonly<Record<Counter, number>>;
}

type Counter =
  | 'published'
  | 'pushesStarted'
  | 'pushesTerminated'
  | 'takenOver'
  | 'resumed'
  | 'fenced'
  | 'graceOver'
  | 'gaveUp'
  | 'moved'
  | 'drained'
  | 'refusedAsInUse'
  | 'refusedOffline'
  | 'slowestReturnMs';

const START = 1_700_000_000_000;
const COMMAND_TIMEOUT_MS = 1000;
/** Milliseconds in which a node that is connected again has seen who owns what. */
const SEES_ALL_MS = 2 * BEAT_MS + COMMAND_TIMEOUT_MS + 500;
/** Milliseconds of calm after which everything must be whole again. */
const CALM_MS = 30_000;
/** Milliseconds between two steps of a hand-over. */
const MOVE_LOOK_MS = 250;
/** Milliseconds after which a node that drains ends, although it still has streams. */
const DRAIN_LIMIT_MS = 20_000;
/** Milliseconds in which the former owner of a stream that was taken learns it. */
const LEARNS_MS = 1500;

class VirtualClock {
  now = START;
  readonly #due: { readonly at: number; readonly order: number; readonly run: () => void }[] = [];
  #order = 0;

  at(ms: number, run: () => void): void {
    const event = { at: this.now + ms, order: this.#order++, run };
    const index = this.#due.findIndex(({ at }) => at > event.at);
    if (index < 0) this.#due.push(event);
    else this.#due.splice(index, 0, event);
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.at(ms, resolve));
  }

  /** Runs the next event and everything that follows from it. */
  async step(): Promise<void> {
    const next = this.#due.shift()!;
    this.now = Math.max(this.now, next.at);
    next.run();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Why a node has lost a name. */
const COUNTERS: Readonly<Record<string, Counter>> = {
  STREAM_NAME_IN_USE: 'fenced',
  NODE_LOST: 'gaveUp',
  SHUTTING_DOWN: 'moved',
};

/** A stream on a node. */
interface LiveName {
  readonly lease: StreamLease;
  /** Without a publisher: in standby, after a take-over. */
  hasPublisher: boolean;
  readonly pushes: Map<string, PushOrder>;
}

class SimulatedNode {
  readonly identity: NodeIdentity;
  readonly store: ModelStore;
  readonly directory: ClusterDirectory;
  readonly stored: StoredPushes;
  readonly takeOver: TakeOver;
  readonly restoring: PushRestore;
  readonly giving: GiveStreams;
  readonly taking: TakeStreams;
  readonly cluster: ClusterNode;
  readonly live = new Map<string, LiveName>();
  alive = true;
  frozen = false;
  draining = false;
  /** Pushes that are connected before their stream is owned. */
  readonly #prepared = new Map<string, PushReach>();
  workersAnswer = true;
  /** Since when the node works and reaches Redis. */
  connectedSince = 0;
  readonly #thawed: (() => void)[] = [];

  constructor(simulation: Simulation, identity: NodeIdentity) {
    const { clock } = simulation;
    this.identity = identity;
    this.connectedSince = clock.now;
    this.store = simulation.connect(this);
    const now = (): number => clock.now;
    this.directory = new ClusterDirectory({
      store: this.store,
      identity,
      graceMs: 60_000,
      acceptsOffline: false,
      isGone: createIsGone(this.store, async (url) => simulation.livenessOf(url)),
      logger: silentLogger,
      now,
      wallClock: now,
      sleep: (ms) => clock.sleep(ms),
    });
    const box = { seal: (text: string) => text, open: (text: string) => text };
    this.stored = new StoredPushes({
      store: this.store,
      epochOf: (stream) => this.directory.epochOf(stream),
      box,
      logger: silentLogger,
    });
    this.restoring = new PushRestore({
      stored: {
        read: (stream) => this.stored.read(stream),
        replace: (push, id) => this.stored.replace(push, id),
        owns: (id) => this.stored.owns(id) || this.#prepared.has(id),
      },
      start: async ({ id, order }) => this.startPush(id, order),
      refuse: () => undefined,
      logger: silentLogger,
    });
    this.takeOver = new TakeOver({
      store: this.store,
      directory: this.directory,
      stored: this.stored,
      standby: {
        take: async (stream, pushes, lease) => {
          // A publisher was faster on this node.
          if (this.live.has(stream)) {
            lease.release();
            return false;
          }
          simulation.count('takenOver');
          this.go(simulation, stream, lease, false);
          this.restore(stream, pushes);
          return true;
        },
      },
      probe: async (url) => (simulation.refusesConnections(url) ? 'refused' : 'silent'),
      graceMs: 60_000,
      self: identity.id,
      logger: silentLogger,
    });
    this.giving = new GiveStreams({
      store: this.store,
      directory: this.directory,
      streams: {
        list: () => [...this.live].map(([name, { pushes }]) => ({ name, hasStandby: pushes.size > 0 })),
        isStored: (name) => this.stored.isStored(name),
        pushing: (name) => [...(this.live.get(name)?.pushes.keys() ?? [])],
        closed: () => clock.sleep(20 + simulation.random() * 200),
      },
      isMoving: () => this.draining,
      self: identity.id,
      logger: silentLogger,
      now,
    });
    this.taking = new TakeStreams({
      store: this.store,
      directory: this.directory,
      stored: this.stored,
      pushes: {
        prepare: async ({ id }) => this.#prepare(simulation, id),
        reachOf: (id) => this.#prepared.get(id),
        keep: (push) => this.#keep(simulation, push),
        drop: (id) => void this.#prepared.delete(id),
        retry: () => undefined,
      },
      self: identity.id,
      logger: silentLogger,
      now,
    });
    this.cluster = new ClusterNode({
      store: this.store,
      identity,
      directory: this.directory,
      about: {
        url: `http://${identity.id}.example`,
        wsUrl: `ws://${identity.id}.example`,
        region: '',
        group: '',
        version: '1',
        capacity: 100,
        startedAt: clock.now,
      },
      workersAnswer: async () => this.workersAnswer,
      load: () => ({
        publications: this.directory.size,
        pushes: 0,
        encoders: 0,
        cpu: 0,
        overloaded: false,
        drain: 'no',
        toMove: 0,
      }),
      isDraining: () => this.draining,
      onBeat: async () => {
        await this.stored.flush();
        await this.restoring.retry();
        if (!this.draining) await this.takeOver.look();
      },
      logger: silentLogger,
    });
  }

  /** One step of the hand-overs. */
  move(simulation: Simulation): void {
    if (this.draining) {
      this.taking.stop();
      void this.giving.tick();
    } else if (this.cluster.state === 'in-service' && simulation.mayOffer()) void this.taking.tick();
  }

  /** Most destinations accept a second connection; some refuse it, and some cannot be reached from here. */
  #prepare(simulation: Simulation, id: string): void {
    this.#prepared.set(id, 'connecting');
    const luck = simulation.random();
    simulation.clock.at(50 + simulation.random() * 1500, () => {
      if (!this.#prepared.has(id)) return;
      if (luck < 0.1) this.#prepared.delete(id);
      else this.#prepared.set(id, luck < 0.3 ? 'held' : 'pushing');
    });
  }

  async #keep(simulation: Simulation, push: StoredPush): Promise<void> {
    if (this.stored.owns(push.id)) return;
    const stream = push.order.streamName;
    const lease = await this.directory.claim(stream);
    if (this.live.has(stream)) lease.release();
    else this.go(simulation, stream, lease, false);
    this.#prepared.delete(push.id);
    this.restore(stream, [push]);
  }

  get works(): boolean {
    return this.alive && !this.frozen;
  }

  /** Continues when the process runs; never in a process that was killed. */
  async running(): Promise<void> {
    while (!this.works) await new Promise<void>((resolve) => this.#thawed.push(resolve));
  }

  /** Starts a push, and stores it. */
  async startPush(id: string, order: PushOrder): Promise<{ readonly mediaSessionId: string }> {
    const name = this.live.get(order.streamName);
    if (!name) throw new GatewayError('STREAM_NOT_FOUND', 'gone');
    name.pushes.set(id, order);
    await this.stored.started({ id, order, resumeKey: order.streamName, muted: false });
    return { mediaSessionId: id };
  }

  thaw(): void {
    this.frozen = false;
    for (const resolve of this.#thawed.splice(0)) resolve();
  }

  go(simulation: Simulation, stream: string, lease: StreamLease, hasPublisher: boolean): LiveName {
    const name: LiveName = { lease, hasPublisher, pushes: new Map() };
    this.live.set(stream, name);
    lease.lost.addEventListener('abort', () => {
      const { code } = lease.lost.reason as GatewayError;
      simulation.count(COUNTERS[code] ?? 'graceOver');
      if (!simulation.options.withoutFencing) this.end(stream, code);
    });
    return name;
  }

  restore(stream: string, pushes: readonly StoredPush[]): void {
    for (const push of pushes) {
      this.live.get(stream)?.pushes.set(push.id, push.order);
      this.stored.adopt(push);
    }
  }

  end(stream: string, reasonCode: string): void {
    const name = this.live.get(stream);
    if (!name) return;
    this.live.delete(stream);
    this.restoring.streamEnded(stream);
    for (const id of name.pushes.keys()) this.stored.ended(id, reasonCode);
    name.lease.release();
  }

  terminate(stream: string, id: string): void {
    this.live.get(stream)?.pushes.delete(id);
    this.stored.ended(id, 'TERMINATED');
  }
}

export class Simulation {
  readonly options: SimulationOptions;
  readonly clock = new VirtualClock();
  readonly #random: () => number;
  readonly #redis: RedisModel;
  readonly #nodes: SimulatedNode[] = [];
  readonly #manager: ModelStore;
  readonly #registry: NodeRegistry;
  readonly #violations: string[] = [];
  /** Streams with two owners, and since when. */
  readonly #doubleSince = new Map<string, number>();
  readonly #summary: Record<Counter, number> = {
    published: 0,
    pushesStarted: 0,
    pushesTerminated: 0,
    takenOver: 0,
    resumed: 0,
    fenced: 0,
    graceOver: 0,
    gaveUp: 0,
    moved: 0,
    drained: 0,
    refusedAsInUse: 0,
    refusedOffline: 0,
    slowestReturnMs: 0,
  };
  /** Pushes that were accepted and not terminated, by stream. */
  readonly #wanted = new Map<string, Set<string>>();
  #instances = 0;
  #pushIds = 0;
  #redisAnswers = true;
  #redisStarts = 0;
  /** Data that only Redis and a lost node had cannot come back: both are not lost at the same time. */
  #noLossBefore = 0;
  /** Redis has lost its data, and nodes have not written it again. */
  #noGapBefore = 0;
  #ended = false;

  constructor(options: SimulationOptions) {
    this.options = options;
    this.#random = randomFrom(options.seed);
    this.#redis = new RedisModel(() => this.clock.now);
    this.#manager = new ModelStore(this.#redis);
    this.#registry = new NodeRegistry({
      store: this.#manager,
      managerId: 'm',
      probe: async (url) => this.#nodes.some(({ works, identity }) => works && url === `http://${identity.id}.example`),
      logger: silentLogger,
      random: this.#random,
      now: () => this.clock.now,
    });
  }

  /** Whether there can be offers: saves steps in the time without them. */
  mayOffer(): boolean {
    return this.#nodes.some(({ draining }) => draining);
  }

  random(): number {
    return this.#random();
  }

  count(counter: Counter): void {
    this.#summary[counter]++;
  }

  livenessOf(url: string): Liveness {
    const node = this.#nodes.find(({ alive, identity }) => alive && url === `http://${identity.id}.example`);
    if (!node) return 'refused';
    return node.works && node.workersAnswer ? 'answers' : 'silent';
  }

  /** A process whose port answers that nothing listens there: it was killed, and its machine runs. */
  refusesConnections(url: string): boolean {
    return !this.#nodes.some(({ alive, identity }) => alive && url === `http://${identity.id}.example`);
  }

  /** A connection with delays in both directions, in order, which stops while the process is frozen or Redis away. */
  connect(node: SimulatedNode): ModelStore {
    const store = new ModelStore(this.#redis);
    let freeAt = 0;
    const travel = async (): Promise<void> => {
      const arrival = Math.max(freeAt, this.clock.now + 1 + this.#random() * 20);
      freeAt = arrival;
      await this.clock.sleep(arrival - this.clock.now);
    };
    const fail = (): never => {
      store.available = false;
      throw new Error('Redis does not answer');
    };
    store.before = async () => {
      await node.running();
      const start = this.#redisStarts;
      await travel();
      // What was under way when Redis was restarted is not answered.
      if (start !== this.#redisStarts) fail();
      if (!store.reachable || !this.#redisAnswers) {
        await this.clock.sleep(COMMAND_TIMEOUT_MS);
        await node.running();
        fail();
      }
    };
    store.after = async () => {
      await travel();
      await node.running();
    };
    if (this.options.withoutFencing) {
      const hold = store.hold.bind(store);
      store.hold = async (...args): Promise<HoldAnswer> => {
        await hold(...args);
        return { held: true };
      };
    }
    return store;
  }

  async run(faults: number): Promise<SimulationResult> {
    for (let index = 0; index < this.options.nodes; index++) this.#start(`n${index}`);
    const everyMs = (ms: number, run: () => void): void => {
      const again = (): void => {
        run();
        if (!this.#ended) this.clock.at(ms, again);
      };
      this.clock.at(this.#random() * ms, again);
    };
    everyMs(BEAT_MS / 2, () => void this.#registry.poll());
    everyMs(100, () => this.#check());
    for (let index = 0; index < this.options.streams; index++) void this.#publisher(`stream-${index}`);
    // A publisher with a name that is in use already.
    everyMs(1000, () => void this.#publish(this.#pick([...this.#wanted.keys()]), false));
    let done = 0;
    const nextFault = (): void => {
      if (done >= faults) return;
      if (this.#fault()) done++;
      this.clock.at(200 + this.#random() * 2500, nextFault);
    };
    this.clock.at(5000, nextFault);
    while (done < faults && this.#violations.length === 0) await this.clock.step();
    this.#heal();
    for (const end = this.clock.now + CALM_MS; this.clock.now < end;) await this.clock.step();
    this.#checkWhole();
    this.#ended = true;
    return { faults: done, violations: this.#violations, summary: this.#summary };
  }

  #start(id: string): void {
    const index = this.#nodes.findIndex(({ identity }) => identity.id === id);
    // It was started again earlier, at the end of the faults.
    if (this.#nodes[index]?.alive) return;
    const node = new SimulatedNode(this, { id, instance: `i${this.#instances++}` });
    if (index < 0) this.#nodes.push(node);
    else this.#nodes[index] = node;
    const tick = (): void => {
      if (!node.alive || this.#ended) return;
      if (node.works) void node.cluster.tick();
      this.clock.at(BEAT_MS, tick);
    };
    this.clock.at(this.#random() * BEAT_MS, tick);
    const move = (): void => {
      if (!node.alive || this.#ended) return;
      if (node.works) node.move(this);
      this.clock.at(MOVE_LOOK_MS, move);
    };
    this.clock.at(this.#random() * MOVE_LOOK_MS, move);
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)]!;
  }

  /** @returns whether there was something to break */
  #fault(): boolean {
    const node = this.#pick(this.#nodes);
    const mayLose = this.clock.now > this.#noLossBefore;
    const lasts = 500 + this.#random() * (this.#random() < 0.05 ? 90_000 : 8000);
    switch (Math.floor(this.#random() * 10)) {
      case 0: // kill -9, and a new process later
        if (!node.alive || !mayLose) return false;
        node.alive = false;
        this.clock.at(lasts, () => this.#start(node.identity.id));
        return true;
      case 1: // SIGSTOP and SIGCONT
        if (!node.works || this.clock.now < this.#noGapBefore) return false;
        node.frozen = true;
        this.clock.at(lasts, () => {
          node.thaw();
          node.connectedSince = this.clock.now;
        });
        return true;
      case 2: // the network between a node and Redis
        if (!node.store.reachable || this.clock.now < this.#noGapBefore) return false;
        node.store.reachable = false;
        this.clock.at(lasts, () => {
          node.store.reachable = true;
          node.connectedSince = this.clock.now;
          node.store.reconnect();
        });
        return true;
      case 3: // Redis away
        if (!this.#redisAnswers || this.clock.now < this.#noGapBefore) return false;
        this.#setRedis(false);
        this.clock.at(lasts, () => this.#setRedis(true));
        return true;
      case 4: {
        // Redis restarted without its data, while all owners live
        const isWhole = this.#nodes.every((node) => this.#seesAll(node));
        if (!isWhole || !mayLose || !this.#allRun()) return false;
        this.#redis.empty();
        this.#redisStarts++;
        this.#noLossBefore = this.#noGapBefore = this.clock.now + 5000;
        for (const one of this.#nodes) {
          one.connectedSince = this.clock.now;
          one.store.reconnect();
        }
        this.#manager.reconnect();
        return true;
      }
      case 5: // media workers that hang
        if (!node.workersAnswer || this.clock.now < this.#noGapBefore) return false;
        node.workersAnswer = false;
        this.clock.at(lasts, () => {
          node.workersAnswer = true;
          node.connectedSince = this.clock.now;
        });
        return true;
      case 9: // drain: the streams move to other nodes, and the process ends
        if (!node.works || node.draining) return false;
        void this.#drain(node, lasts);
        return true;
      case 6: // SIGTERM: the process ends its streams and leaves
        if (!node.works || !mayLose) return false;
        this.#shutDown(node, lasts);
        return true;
      case 7: {
        // a publisher stops and comes again
        const [stream, name] = this.#pick([...node.live]) ?? [];
        if (!node.works || !stream || !name?.hasPublisher) return false;
        node.end(stream, 'STREAM_STOPPED');
        this.#wanted.get(stream)?.clear();
        return true;
      }
      default: {
        // REST ends a push
        const [stream, name] = this.#pick([...node.live]) ?? [];
        const [id] = name?.pushes.keys() ?? [];
        if (!node.works || !stream || id === undefined) return false;
        node.terminate(stream, id);
        this.#wanted.get(stream)?.delete(id);
        this.count('pushesTerminated');
        return true;
      }
    }
  }

  async #drain(node: SimulatedNode, lasts: number): Promise<void> {
    node.draining = true;
    this.count('drained');
    const untilMs = this.clock.now + DRAIN_LIMIT_MS;
    const isOver = (): boolean =>
      node.works &&
      this.clock.now > this.#noLossBefore &&
      (this.clock.now > untilMs || (node.live.size === 0 && node.giving.toMove === 0));
    while (!isOver()) {
      if (!node.alive || this.#ended) return;
      await this.clock.sleep(250);
    }
    this.#shutDown(node, lasts);
  }

  #shutDown(node: SimulatedNode, lasts: number): void {
    node.draining = true;
    for (const stream of [...node.live.keys()]) node.end(stream, 'SHUTTING_DOWN');
    void node.cluster.close().then(() => {
      node.alive = false;
      this.clock.at(lasts, () => this.#start(node.identity.id));
    });
  }

  #setRedis(answers: boolean): void {
    this.#redisAnswers = answers;
    this.#manager.reachable = answers;
    // What a node stores while Redis is away is stored with the next heartbeat after it is back.
    this.#noLossBefore = this.clock.now + (answers ? 5000 : 1e9);
    for (const node of this.#nodes) node.connectedSince = this.clock.now;
  }

  /** A publisher that wants its stream live with one or two pushes, and comes back after each loss. */
  async #publisher(stream: string): Promise<void> {
    this.#wanted.set(stream, new Set());
    let lostAt = this.clock.now;
    while (!this.#ended) {
      const node = await this.#publish(stream, true);
      if (!node) {
        await this.clock.sleep(200 + this.#random() * 300);
        continue;
      }
      this.#summary.slowestReturnMs = Math.max(this.#summary.slowestReturnMs, Math.round(this.clock.now - lostAt));
      while (!this.#ended && node.alive && node.live.get(stream)?.hasPublisher) await this.clock.sleep(100);
      lostAt = this.clock.now;
    }
  }

  /** Through a manager: to the owner, or to the best node. */
  async #publish(stream: string, isOwner: boolean): Promise<SimulatedNode | undefined> {
    try {
      const target = (await this.#registry.owner(stream)) ?? this.#registry.place();
      const node = this.#nodes.find(({ identity }) => identity.id === target.id)!;
      if (!node.works || node.draining) return undefined;
      const held = node.live.get(stream);
      if (held) {
        if (held.hasPublisher || !isOwner) return undefined;
        held.hasPublisher = true;
        this.count('resumed');
        return node;
      }
      const lease = await this.#unlessKilled(node, node.directory.claim(stream));
      if (!lease) return undefined;
      const now = node.live.get(stream);
      if (now || !node.works || node.draining || !isOwner) {
        lease.release();
        return undefined;
      }
      node.go(this, stream, lease, true);
      this.count('published');
      node.restoring.streamStarted(stream, stream);
      void this.#startPushes(node, stream).catch(() => undefined);
      return node;
    } catch (error) {
      if (!(error instanceof GatewayError)) return undefined;
      this.count(error.code === 'STREAM_NAME_IN_USE' ? 'refusedAsInUse' : 'refusedOffline');
      return undefined;
    }
  }

  /** A client learns that the process it waits for has ended. */
  async #unlessKilled(node: SimulatedNode, claim: Promise<StreamLease>): Promise<StreamLease | undefined> {
    const killed = (async () => {
      while (node.alive) await this.clock.sleep(500);
      return undefined;
    })();
    return Promise.race([claim, killed]);
  }

  async #startPushes(node: SimulatedNode, stream: string): Promise<void> {
    const wanted = this.#wanted.get(stream)!;
    while (wanted.size < 2 && node.works && node.live.has(stream)) {
      const id = `p${this.#pushIds++}`;
      await node.startPush(id, { streamName: stream, rtmpUrl: 'rtmp://example.com/live', standby: {} });
      // Accepted while Redis is away, it is stored later; a node that is lost before that loses it.
      const isStored = (await this.#stored(stream)).has(id);
      if (!isStored || !node.live.get(stream)?.pushes.has(id)) return;
      wanted.add(id);
      this.count('pushesStarted');
    }
  }

  async #stored(stream: string): Promise<ReadonlyMap<string, string>> {
    return new ModelStore(this.#redis).pushes(stream);
  }

  #allRun(): boolean {
    return [...this.#wanted].every(([stream, wanted]) =>
      this.#nodes.some(({ live, works }) => works && [...wanted].every((id) => live.get(stream)?.pushes.has(id))),
    );
  }

  /** Whether a node has worked and reached Redis for long enough to know what it owns. */
  #seesAll({ works, workersAnswer, store, connectedSince }: SimulatedNode): boolean {
    return (
      works && workersAnswer && store.reachable && this.#redisAnswers && this.clock.now - connectedSince > SEES_ALL_MS
    );
  }

  #check(): void {
    const { now } = this.clock;
    const report = (text: string): void => void this.#violations.push(`at ${(now - START) / 1000} s: ${text}`);
    for (const [key, ttl] of this.#redis.timesToLive)
      if (!(ttl > 0 && ttl <= 3_600_000)) report(`${key} expires after ${ttl} ms`);
    for (const stream of this.#wanted.keys()) {
      const owners = this.#nodes.filter(({ alive, live }) => alive && live.has(stream));
      const epochs = owners.map(({ live }) => live.get(stream)!.lease.epoch);
      if (new Set(epochs).size < epochs.length) report(`${stream} has one epoch for two owners: ${epochs.join()}`);
      const seeing = owners.filter((node) => this.#seesAll(node));
      if (seeing.length < 2) {
        this.#doubleSince.delete(stream);
        continue;
      }
      const since = this.#doubleSince.get(stream) ?? now;
      this.#doubleSince.set(stream, since);
      const isHandedOver = seeing.some(({ giving }) => giving.gives(stream));
      if (!isHandedOver || now - since > LEARNS_MS)
        report(`${stream} is owned by ${seeing.map(({ identity }) => identity.id).join(' and ')}: ${epochs.join()}`);
    }
  }

  /** Ends all faults that last. */
  #heal(): void {
    this.#setRedis(true);
    for (const node of this.#nodes) {
      if (!node.store.reachable) node.store.reconnect();
      node.store.reachable = true;
      node.workersAnswer = true;
      node.connectedSince = this.clock.now;
      node.thaw();
    }
    for (const node of [...this.#nodes]) if (!node.alive) this.#start(node.identity.id);
  }

  #checkWhole(): void {
    if (this.#violations.length > 0) return;
    for (const [stream, wanted] of this.#wanted) {
      const owners = this.#nodes.filter(({ alive, live }) => alive && live.has(stream));
      if (owners.length !== 1) this.#violations.push(`after the faults ${stream} has ${owners.length} owners`);
      for (const id of wanted)
        if (!owners[0]?.live.get(stream)?.pushes.has(id)) this.#violations.push(`the push ${id} of ${stream} is lost`);
    }
  }
}
