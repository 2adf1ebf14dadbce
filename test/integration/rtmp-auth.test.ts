import { createHash } from 'node:crypto';
import t from 'tap';
import { createRtmpPusher } from '../../src/outputs/push/rtmp-pusher.ts';
import type { Amf0Object } from '../../src/media/amf0.ts';
import { ffmpeg } from '../helpers/ffmpeg-tool.ts';
import { death, pushTarget, ready } from '../helpers/push-target.ts';
import { startScriptedServer } from '../helpers/scripted-rtmp-server.ts';
import type { Answer, ScriptedServer } from '../helpers/scripted-rtmp-server.ts';
import { waitFor } from '../helpers/wait.ts';

const md5 = (text: string): string => createHash('md5').update(text).digest('base64');

/** Accepts clients that know the password, as Adobe's access plug-in does. The first test shows that it accepts ffmpeg, which works with the real servers. */
function gatekeeper(user: string, password: string, opaque: string | undefined, applications: string[] = []): Answer {
  const rejected = 'NetConnection.Connect.Rejected';
  const asked = `[ AccessManager.Reject ] : [ authmod=adobe ] : `;
  return (peer, command) => {
    const app = String((command.values[0] as Amf0Object)['app']);
    applications.push(app);
    const query = new Map(
      app
        .slice(app.indexOf('?') + 1)
        .split('&')
        .map((part) => [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)]),
    );
    const expected = md5(md5(`${user}s4lt${password}`) + (opaque ?? 'ch4llenge') + query.get('challenge'));
    const hangUp = (description: string): void => {
      peer.reject(command, rejected, description);
      peer.socket.end();
    };
    if (query.get('authmod') !== 'adobe') hangUp('[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ');
    else if (decodeURIComponent(query.get('user') ?? '') !== user) hangUp(`${asked}?reason=nosuchuser&opaque=-`);
    else if (!query.has('response'))
      hangUp(
        `${asked}?reason=needauth&user=${user}&salt=s4lt&challenge=ch4llenge${opaque === undefined ? '' : `&opaque=${opaque}`}`,
      );
    else if (query.get('response') !== expected) hangUp(`${asked}?reason=authfailed&opaque=-`);
    else peer.command('_result', command.transaction, {}, { level: 'status', code: 'NetConnection.Connect.Success' });
  };
}

async function serve(connect: Answer): Promise<ScriptedServer> {
  const server = await startScriptedServer({ answers: { connect } });
  t.teardown(() => server.stop());
  return server;
}

void t.test("ffmpeg's client and ours pass the same gate", async (t) => {
  for (const opaque of [undefined, 'op4que==']) {
    const applications: string[] = [];
    const server = await serve(gatekeeper('bob', 'pass', opaque, applications));
    const source = ['-f', 'lavfi', '-i', 'testsrc=size=64x64:rate=5:duration=0.2', '-c:v', 'flv1', '-f', 'flv'];
    await ffmpeg([...source, `rtmp://bob:pass@127.0.0.1:${server.port}/live/name`]).catch((error: Error) => {
      // ffmpeg logs each rejection as an error; what counts is that it was accepted.
      if (!/exit code 0/.test(error.message)) throw error;
    });
    t.ok(
      server.peers.at(-1)!.commands.some(({ name }) => name === 'publish'),
      'the gate is the real one',
    );

    const pusher = createRtmpPusher()(pushTarget(`rtmp://bob:pass@127.0.0.1:${server.port}/live/name`));
    await ready(pusher);
    await pusher.close();
    const [first, second, third] = applications.slice(-3);
    t.equal(first, 'live', 'no credentials are sent before the server asks for them');
    t.equal(second, 'live?authmod=adobe&user=bob');
    t.match(
      third,
      opaque
        ? /^live\?authmod=adobe&user=bob&challenge=\w+&response=[\w+/=]+&opaque=op4que==$/
        : /^live\?authmod=adobe&user=bob&challenge=\w+&response=[\w+/=]+$/,
    );
  }
});

void t.test('names and passwords of any characters, and a query of the application', async (t) => {
  const user = 'b&b=@x/ü';
  const password = 'p:w?#%&'.repeat(30);
  const applications: string[] = [];
  const server = await serve(gatekeeper(user, password, undefined, applications));
  const pusher = createRtmpPusher()({
    ...pushTarget(
      `rtmp://${encodeURIComponent(user)}:${encodeURIComponent(password)}@127.0.0.1:${server.port}/live/name`,
    ),
  });
  await ready(pusher);
  await pusher.close();
  t.equal(applications.length, 3);
});

void t.test('refusals never contain the secrets', async (t) => {
  const server = await serve(gatekeeper('b0bby', 'passw0rd', undefined));
  const at = `127.0.0.1:${server.port}/live/k3y-name`;
  for (const userinfo of ['', 'b0bby:wr0ng@', 'all1ce:passw0rd@']) {
    const error = await death(createRtmpPusher()(pushTarget(`rtmp://${userinfo}${at}`)));
    t.match(error, { code: 'DESTINATION_AUTHENTICATION', retryable: false });
    t.notMatch(
      `${error.message}${error.stack}${(error.cause as Error).stack}`,
      /b0bby|wr0ng|all1ce|passw0rd|s4lt|ch4llenge|k3y/,
    );
  }
  const endless = await serve((peer, command) =>
    peer.reject(command, '', '[ authmod=adobe ] : ?reason=needauth&salt=1&challenge=2'),
  );
  t.match(await death(createRtmpPusher()(pushTarget(`rtmp://bob:pass@127.0.0.1:${endless.port}/live/name`))), {
    code: 'DESTINATION_AUTHENTICATION',
  });
  t.equal(endless.peers.length, 3, 'it ends');
  await waitFor(
    'all its connections to end, though the server ends none',
    () => endless.peers.every(({ socket }) => socket.destroyed),
    { every: 1 },
  );
});
