import t, { type Test } from 'tap';
import type { MediaAddress } from '../../src/webrtc/media-addresses.ts';
import { WorkerPool } from '../../src/webrtc/worker-pool.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { Pacer } from '../../src/runtime/pacer.ts';
import { mediaWorkerEnv } from '../helpers/media-worker.ts';
import { freePort } from '../helpers/server-process.ts';

Object.assign(process.env, mediaWorkerEnv());

/** An address that no machine has (RFC 5737). */
const NOBODYS = '203.0.113.77';

const create = (addresses: readonly MediaAddress[], rtcPort = 0) =>
  WorkerPool.create({
    workers: 1,
    rtcPort,
    addresses: () => addresses,
    pacer: new Pacer({ restMs: 0 }),
    logger: silentLogger,
  });

/** What a publisher is told. */
async function candidates(t: Test, addresses: readonly MediaAddress[]): Promise<string[]> {
  const pool = await create(addresses);
  t.teardown(() => pool.close());
  const { router, webRtcServer } = pool.pick();
  const { iceCandidates } = await router.createWebRtcTransport({ webRtcServer });
  return iceCandidates.map(({ protocol, address }) => `${protocol} ${address}`);
}

t.test('an extra address: by UDP, after the first', async (t) => {
  t.strictSame(await candidates(t, [{ ip: '127.0.0.1' }, { ip: '127.0.0.2', isExtra: true }]), [
    'udp 127.0.0.1',
    'tcp 127.0.0.1',
    'udp 127.0.0.2',
  ]);
});

t.test('an extra address that cannot be had is done without', async (t) => {
  t.strictSame(await candidates(t, [{ ip: '127.0.0.1' }, { ip: NOBODYS, isExtra: true }]), [
    'udp 127.0.0.1',
    'tcp 127.0.0.1',
  ]);
});

t.test('another address is announced', async (t) => {
  t.strictSame(await candidates(t, [{ ip: '127.0.0.1', announced: 'media.example.com' }]), [
    'udp media.example.com',
    'tcp media.example.com',
  ]);
});

t.test('what cannot be done without', async (t) => {
  await t.rejects(create([{ ip: NOBODYS }]), {
    code: 'SETTINGS_INVALID',
    message: `ip_local ${NOBODYS} is not an address of this machine. Set ip_local to one that is, or to 0.0.0.0.`,
  });
  const port = await freePort();
  const first = await create([{ ip: '127.0.0.1' }], port);
  t.teardown(() => first.close());
  await t.rejects(create([{ ip: '127.0.0.1' }, { ip: '127.0.0.2', isExtra: true }], port), {
    code: 'SETTINGS_INVALID',
    message: `rtc_port ${port} is in use on 127.0.0.1: another program, or another gateway, has it as UDP or TCP. Stop that one, or set rtc_port to a free port.`,
  });
});
