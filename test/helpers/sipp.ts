import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, ServerProcess } from './server-process.ts';
import { SIPP } from './sip-peers.ts';

/** SIPp as one side of one call. A scenario is a list of steps; SIPp fails at any message that the next step does not expect. */

export interface Sipp {
  readonly port: number;
  /** It receives nothing until {@link resume}. */
  freeze(): void;
  resume(): void;
  /** Resolves when the scenario is over, with what went wrong; empty: nothing. */
  failure(): Promise<string>;
  stop(): Promise<void>;
}

export interface Message {
  /** Header lines. */
  readonly headers?: readonly string[];
  readonly sdp?: string;
  readonly tag?: string;
}

interface Pattern {
  readonly header: string;
  /** Must be found in the header. */
  readonly pattern: string;
}

/** Seconds for one scenario. */
const SCENARIO_TIMEOUT = 180;
const TAG = 'callee';
const CONTACT = 'Contact: <sip:callee@127.0.0.1:[local_port]>';
/** Parts of the last INVITE or REGISTER of the gateway: other requests may come before its answer. */
const SAVED = { via: 'Via:', from: 'From:', to: 'To:', cseq: 'CSeq:' } as const;
/** SIPp wants each variable to be read; `Reference` does so. */
const VARIABLES = [...Object.keys(SAVED), 'target', 'found', 'proven'];

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const expression = ({ header, pattern }: Pattern, assignTo: string): string =>
  `<ereg regexp="${escape(pattern)}" search_in="hdr" header="${header}" check_it="true" assign_to="${assignTo}"/>`;

const send = (lines: readonly string[], { headers = [], sdp }: Message, attributes = ''): string => {
  const body =
    sdp === undefined ? ['Content-Length: 0', ''] : ['Content-Type: application/sdp', 'Content-Length: [len]'];
  const text = [...lines, ...headers, ...body, ...(sdp === undefined ? [] : ['', sdp])].join('\n');
  return `<send${attributes}><![CDATA[\n${text}\n]]></send>`;
};

const remembered = (method: string, patterns: readonly Pattern[]): string => {
  const saved = Object.entries(SAVED).map(([name, header]) => expression({ header, pattern: '[^ ].*' }, name));
  const target = expression({ header: 'Contact:', pattern: 'sip:[^>]*' }, 'target');
  const wanted = patterns.map((pattern) => expression(pattern, 'found'));
  return `<recv request="${method}"><action>${[...saved, target, ...wanted].join('')}</action></recv>`;
};

/** Expects an INVITE, and remembers it. */
export const invite = (...patterns: Pattern[]): string => remembered('INVITE', patterns);

/** Expects a REGISTER, and remembers it: {@link answer} answers it. */
export const register = (...patterns: Pattern[]): string => remembered('REGISTER', patterns);

/** Expects an INVITE with these credentials; others are refused with 403. */
export const inviteOf = (username: string, password: string): string[] => [
  invite().replace(
    '</action>',
    `<verifyauth assign_to="proven" username="${username}" password="${password}"/></action>`,
  ),
  '<nop next="welcome" test="proven"/>',
  ...refuse(403, 'Forbidden'),
  '<nop next="end"/>',
  '<label id="welcome"/>',
];

/** Expects another request. */
export const receive = (method: string, ...patterns: Pattern[]): string =>
  `<recv request="${method}"><action>${patterns.map((pattern) => expression(pattern, 'found')).join('')}</action></recv>`;

/** Expects the answer to a request of SIPp. */
export const answered = (status: number, ...patterns: Pattern[]): string =>
  `<recv response="${status}"><action>${patterns.map((pattern) => expression(pattern, 'found')).join('')}</action></recv>`;

/** Answers the INVITE or the REGISTER. */
export const answer = (status: number, reason: string, message: Message = {}): string => {
  const tag = status === 100 ? '' : `;tag=${message.tag ?? TAG}`;
  const contact = status > 100 && status < 300 ? [CONTACT] : [];
  return send(
    [
      `SIP/2.0 ${status} ${reason}`,
      'Via: [$via]',
      'From: [$from]',
      `To: [$to]${tag}`,
      'Call-ID: [call_id]',
      'CSeq: [$cseq]',
      ...contact,
    ],
    message,
  );
};

/** Refuses the INVITE. */
export const refuse = (status: number, reason: string, message?: Message): string[] => [
  answer(100, 'Trying'),
  answer(status, reason, message),
  receive('ACK'),
];

/** Answers the last request, which was no INVITE. */
export const ok = (): string =>
  send(['SIP/2.0 200 OK', '[last_Via:]', '[last_From:]', '[last_To:]', '[last_Call-ID:]', '[last_CSeq:]'], {});

const inDialog = (method: string, cseq: number): string[] => [
  `${method} [$target] SIP/2.0`,
  'Via: SIP/2.0/[transport] 127.0.0.1:[local_port];branch=[branch]',
  `From: [$to];tag=${TAG}`,
  'To: [$from]',
  'Call-ID: [call_id]',
  `CSeq: ${cseq} ${method}`,
  'Max-Forwards: 70',
  CONTACT,
];

/** A request of SIPp in the call. */
export const request = (method: string, cseq: number, message: Message = {}): string =>
  send(inDialog(method, cseq), message, ' retrans="500"');

/** Acknowledges the answer to a re-INVITE of SIPp. */
export const acknowledge = (cseq: number, message: Message = {}): string => send(inDialog('ACK', cseq), message);

/** The answer to an INVITE, until its ACK. */
export const accept = (message: Message = {}): string[] => [
  answer(200, 'OK', { sdp: sdp(), ...message }),
  receive('ACK'),
];

/** The gateway hangs up. */
export const hungUp = (): string[] => [receive('BYE'), ok()];

/** An INFO with a digit: the test tells SIPp to go on. */
export const told = (): string[] => [receive('INFO'), ok()];

/** @param version rises with each change */
export const sdp = (version = 1, { direction = 'sendrecv', address = '127.0.0.1' } = {}): string =>
  [
    'v=0',
    `o=- 1 ${version} IN IP4 127.0.0.1`,
    's=-',
    `c=IN IP4 ${address}`,
    't=0 0',
    'm=audio [media_port] RTP/AVP 0',
    `a=${direction}`,
  ].join('\n');

const CALLER = '<sip:1001@127.0.0.1:[local_port]>';

/** As the caller: `user` of the gateway is called. */
const asCaller = (method: string, uri: string, via: string, to: string, cseq: number): string[] => [
  `${method} ${uri} SIP/2.0`,
  via,
  `From: ${CALLER};tag=caller`,
  to,
  'Call-ID: [call_id]',
  `CSeq: ${cseq} ${method}`,
  `Contact: ${CALLER}`,
  'Max-Forwards: 70',
];
const NEW_VIA = 'Via: SIP/2.0/[transport] 127.0.0.1:[local_port];branch=[branch]';

/** Calls the gateway. */
export const call = (user: string, message: Message = {}, cseq = 1): string => {
  const uri = `sip:${user}@127.0.0.1:[remote_port]`;
  const invite = send(asCaller('INVITE', uri, NEW_VIA, `To: <${uri}>`, cseq), message, ' retrans="500"');
  // Refusals that need no transaction come without it.
  return `${invite}<recv response="100" optional="true"/>`;
};

/** Credentials for the last challenge. */
export const credentials = (username: string, password: string): string =>
  `[authentication username=${username} password=${password}]`;

/** Expects the answer to {@link call}. */
export const got = (status: number, attributes = ''): string => `<recv response="${status}"${attributes}/>`;

/** Expects 180, then 200. */
export const established = (): string[] => [got(180), got(200, ' rrs="true"')];

/** Acknowledges a refusal. */
export const gaveUp = (user: string, cseq = 1): string =>
  send(asCaller('ACK', `sip:${user}@127.0.0.1:[remote_port]`, '[last_Via:]', '[last_To:]', cseq), {});

/** A request of the caller in the call. */
export const callerRequest = (method: string, cseq: number, message: Message = {}): string =>
  send(
    asCaller(method, '[next_url]', NEW_VIA, `To: <sip:callee@127.0.0.1:[remote_port]>[peer_tag_param]`, cseq),
    message,
    method === 'ACK' ? '' : ' retrans="500"',
  );

/** Starts SIPp. What it receives as RTP it sends back. @param calls the port that a caller calls */
export async function startSipp(steps: readonly string[], { calls }: { calls?: number } = {}): Promise<Sipp> {
  const folder = await mkdtemp(join(tmpdir(), 'sipp-'));
  const [port, media, control] = [await freePort(), await freePort(), await freePort()];
  const [scenario, errors] = [join(folder, 'scenario.xml'), join(folder, 'errors.log')];
  const text = steps.join('\n');
  const assigned = VARIABLES.filter((name) => text.includes(`assign_to="${name}"`));
  await writeFile(
    scenario,
    `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE scenario SYSTEM "sipp.dtd">
<scenario name="callee">
${text}
<label id="end"/>
${assigned.length > 0 ? `<Reference variables="${assigned.join(',')}"/>` : ''}
</scenario>
`,
  );
  const place = [
    '-i',
    '127.0.0.1',
    '-p',
    String(port),
    '-mi',
    '127.0.0.1',
    '-mp',
    String(media),
    '-cp',
    String(control),
  ];
  const limits = ['-m', '1', '-timeout', String(SCENARIO_TIMEOUT), '-timeout_error', '-watchdog_interval', '0'];
  const log = ['-trace_err', '-error_file', errors, '-nostdin'];
  const target = calls === undefined ? [] : [`127.0.0.1:${calls}`];
  const args = [...target, '-sf', scenario, '-rtp_echo', ...place, ...limits, ...log];
  const process = new ServerProcess(SIPP, args, port, 'udp');
  await process.start().catch((error: unknown) => {
    // A call that is refused may be over already.
    if (process.exitCode === null) throw error;
  });
  return {
    port,
    freeze: () => process.freeze(),
    resume: () => process.resume(),
    async failure() {
      await process.ended();
      if (process.exitCode === 0) return '';
      return `code ${process.exitCode}\n${await readFile(errors, 'utf8').catch(() => process.output.slice(-4000))}`;
    },
    async stop() {
      await process.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
