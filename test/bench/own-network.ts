import { spawnSync } from 'node:child_process';

const MARK = 'BENCH_OWN_NETWORK';

/**
 * Janus offers no address of loopback. So this process runs once more in a network of its own, in which loopback and one address more are all
 * there is, and which nobody else can reach; this one waits, and ends as that one does.
 *
 * @throws {Error} that says what to install, where that is not possible
 */
export function enterOwnNetwork(): void {
  if (process.env[MARK]) return;
  const script = 'ip link set lo up && ip link add bench0 type veth peer name bench1 && ip addr add 10.99.0.1/24 dev bench0 && ip link set bench0 up && ip link set bench1 up && exec "$@"';
  // Who is not root may do this as long as he stays himself.
  const privileges = process.getuid?.() === 0 ? [] : ['--map-current-user', '--keep-caps'];
  const { status, error } = spawnSync('unshare', [...privileges, '--net', 'sh', '-c', script, 'sh', process.execPath, ...process.argv.slice(1)], { stdio: 'inherit', env: { ...process.env, [MARK]: '1' } });
  if (error) throw new Error('A network of its own takes `unshare` and `ip`. Type: apt-get install util-linux iproute2');
  process.exit(status ?? 1);
}
