import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import ipaddr from 'ipaddr.js';

/** Lower case, IDNA, no dot at the end: one spelling for each host, so that rules cannot be bypassed with another spelling. */
export function normaliseHost(host: string): string {
  if (isIP(host)) return host;
  return (domainToASCII(host) || host.toLowerCase()).replace(/\.$/, '');
}

/** Whether a host is the pattern: a host name, an address, `*.example.com` for all hosts below a domain, or `*`. */
export function hostMatches(pattern: string, host: string): boolean {
  if (isIP(host) || isIP(pattern))
    return pattern === '*' || (isIP(host) !== 0 && isIP(pattern) !== 0 && sameAddress(host, pattern));
  const name = normaliseHost(host);
  const wanted = pattern.toLowerCase().replace(/\.$/, '');
  if (wanted === '*') return true;
  return wanted.startsWith('*.') ? name.endsWith(wanted.slice(1)) : name === normaliseHost(wanted);
}

const sameAddress = (one: string, other: string): boolean =>
  ipaddr.process(one).toString() === ipaddr.process(other).toString();
