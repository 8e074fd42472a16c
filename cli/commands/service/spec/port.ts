import type { PortConfig } from '../../../../proto/objects/endpoint.ts';
import { fields, refuse } from './values.ts';

type Protocol = NonNullable<PortConfig['Protocol']>;
type PublishMode = NonNullable<PortConfig['PublishMode']>;

const PROTOCOLS: readonly string[] = ['tcp', 'udp', 'sctp'] satisfies Protocol[];
const MODES: readonly string[] = ['ingress', 'host'] satisfies PublishMode[];
const FLAG = '-p, --publish';

/** `8080:80/tcp`, `8000-8002:80-82` or `published=8080,target=80,protocol=tcp,mode=host`. @throws CommandError */
export function parsePorts(text: string): PortConfig[] {
  return text.includes('=') ? [parseLong(text)] : parseShort(text);
}

/** The port that `--publish-rm` names, `80` or `80/udp`. @throws CommandError */
export function parseTargetPort(text: string): { target: number; protocol: string } {
  const [port = '', protocol = 'tcp'] = text.split('/');
  if (port.includes(':') || text.includes('='))
    return refuse('publish-rm', text, 'target port must be specified, without the published one');
  return { target: portNumber(text, port, `invalid containerPort: ${port}`, 'publish-rm'), protocol };
}

function parseLong(text: string): PortConfig {
  const given = fields(text);
  const unknown = [...given.keys()].find((key) => !['target', 'published', 'protocol', 'mode'].includes(key));
  if (unknown !== undefined) refuse(FLAG, text, `invalid field key ${unknown}`);
  const target = given.get('target');
  const published = given.get('published');
  const protocol = given.get('protocol') ?? 'tcp';
  const mode = given.get('mode') ?? 'ingress';
  if (!PROTOCOLS.includes(protocol)) refuse(FLAG, text, `invalid protocol value ${protocol}`);
  if (!MODES.includes(mode)) refuse(FLAG, text, `invalid publish mode value ${mode}`);
  if (target === undefined) return refuse(FLAG, text, 'missing mandatory field "target"');
  const number = (digits: string): number =>
    portNumber(text, digits, `strconv.ParseUint: parsing "${digits}": invalid syntax`);
  return {
    Protocol: protocol as Protocol,
    TargetPort: number(target),
    ...(published === undefined ? {} : { PublishedPort: number(published) }),
    PublishMode: mode as PublishMode,
  };
}

function parseShort(text: string): PortConfig[] {
  const [ports = '', protocol = 'tcp'] = text.split('/');
  const parts = ports.split(':');
  if (parts.length > 2) return refuse(FLAG, text, 'hostip is not supported');
  if (!PROTOCOLS.includes(protocol.toLowerCase())) return refuse(FLAG, text, `invalid proto: ${protocol}`);
  const targets = range(text, parts.at(-1) ?? '', 'containerPort');
  const published = parts.length === 2 && parts[0] !== '' ? range(text, parts[0] ?? '', 'hostPort') : [];
  if (published.length > 0 && published.length !== targets.length)
    refuse(FLAG, text, `invalid ranges specified for container and host Ports: ${parts[1]} and ${parts[0]}`);
  return targets.map((target, at) => {
    const to = published[at];
    return {
      Protocol: protocol.toLowerCase() as Protocol,
      TargetPort: target,
      ...(to === undefined ? {} : { PublishedPort: to }),
      PublishMode: 'ingress' as const,
    };
  });
}

function range(text: string, ports: string, which: string): number[] {
  const [first = '', last] = ports.split('-');
  const from = portNumber(text, first, `invalid ${which}: ${ports}`);
  const to = last === undefined ? from : portNumber(text, last, `invalid ${which}: ${ports}`);
  if (to < from) refuse(FLAG, text, `invalid ${which}: ${ports}`);
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

function portNumber(text: string, digits: string, why: string, flag = FLAG): number {
  const value = Number(digits);
  return /^\d+$/.test(digits) && value <= 65535 ? value : refuse(flag, text, why);
}
