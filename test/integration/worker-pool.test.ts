import t, { type Test } from 'tap';
import type { MediaAddress } from '../../src/webrtc/media-addresses.ts';
import { WorkerPool } from '../../src/webrtc/worker-pool.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { mediaWorkerEnv } from '../helpers/media-worker.ts';
import { freePort } from '../helpers/server-process.ts';

Object.assign(process.env, mediaWorkerEnv());

/** An address of documentation, which no machine has (RFC 5737). */
const UNUSABLE = '203.0.113.77';

const create = (addresses: readonly MediaAddress[], rtcPort = 0) =>
  WorkerPool.create({
    workers: 1,
    rtcPort,
    addresses: () => addresses,
    logger: silentLogger,
  });

/** The candidates of an answer to a publisher. */
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

t.test('an extra address that cannot be used is left out', async (t) => {
  t.strictSame(await candidates(t, [{ ip: '127.0.0.1' }, { ip: UNUSABLE, isExtra: true }]), [
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

t.test('an address or a port that cannot be used', async (t) => {
  await t.rejects(create([{ ip: UNUSABLE }]), {
    code: 'SETTINGS_INVALID',
    message: `ip_local ${UNUSABLE} is not an address of this machine. Set ip_local to an address of this machine, or to 0.0.0.0.`,
  });
  const port = await freePort();
  const first = await create([{ ip: '127.0.0.1' }], port);
  t.teardown(() => first.close());
  await t.rejects(create([{ ip: '127.0.0.1' }, { ip: '127.0.0.2', isExtra: true }], port), {
    code: 'SETTINGS_INVALID',
    message: `rtc_port ${port} is in use on 127.0.0.1, as UDP or TCP, by another program or another gateway. Stop it, or set rtc_port to a free port.`,
  });
});
