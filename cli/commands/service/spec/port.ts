import type { PortConfig } from '../../../../proto/objects/service.ts';
import { fields, oneOf, refuse } from './values.ts';

const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const;

/** `8080:80/tcp`, `8000-8002:80-82` or `published=8080,target=80,protocol=tcp,mode=host`. @throws CommandError */
export function parsePorts(text: string): PortConfig[] {
  return text.includes('=') ? [parseLong(text)] : parseShort(text);
}

function parseLong(text: string): PortConfig {
  const given = fields(text);
  const target = given.get('target');
  const published = given.get('published');
  if (target === undefined) return refuse('publish', text, 'missing mandatory field "target"');
  return {
    Protocol: oneOf('publish', given.get('protocol') ?? 'tcp', PROTOCOLS),
    TargetPort: portNumber(text, target),
    ...(published === undefined ? {} : { PublishedPort: portNumber(text, published) }),
    PublishMode: oneOf('publish', given.get('mode') ?? 'ingress', ['ingress', 'host'] as const),
  };
}

function parseShort(text: string): PortConfig[] {
  const [ports = '', protocol = 'tcp'] = text.split('/');
  const parts = ports.split(':');
  if (parts.length > 2) return refuse('publish', text, 'hostip is not supported');
  const targets = range(text, parts.at(-1) ?? '');
  const published = parts.length === 2 ? range(text, parts[0] ?? '') : [];
  if (published.length > 0 && published.length !== targets.length)
    refuse('publish', text, 'invalid ranges specified for container and host Ports');
  return targets.map((target, at) => {
    const to = published[at];
    return {
      Protocol: oneOf('publish', protocol, PROTOCOLS),
      TargetPort: target,
      ...(to === undefined ? {} : { PublishedPort: to }),
      PublishMode: 'ingress' as const,
    };
  });
}

function range(text: string, ports: string): number[] {
  const [first = '', last] = ports.split('-');
  const from = portNumber(text, first);
  const to = last === undefined ? from : portNumber(text, last);
  if (to < from) refuse('publish', text, 'invalid range specified for the Container Port');
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

function portNumber(text: string, digits: string): number {
  const value = Number(digits);
  if (!/^\d+$/.test(digits) || value > 65535) refuse('publish', text, `invalid port "${digits}"`);
  return value;
}
