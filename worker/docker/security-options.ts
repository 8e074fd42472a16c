import { Buffer } from 'node:buffer';
import type { Json } from '../../proto/objects/meta.ts';

type Fields = { [key: string]: Json };

/** `Privileges` of a container spec as the engine's SecurityOpt. */
export function securityOptions(privileges: Fields | null | undefined): string[] {
  if (privileges === undefined || privileges === null) return [];
  return [
    ...credentials(fields(privileges.CredentialSpec)),
    ...labels(fields(privileges.SELinuxContext)),
    ...seccomp(fields(privileges.Seccomp)),
    ...(fields(privileges.AppArmor).Mode === 'disabled' ? ['apparmor=unconfined'] : []),
    ...(privileges.NoNewPrivileges === true ? ['no-new-privileges=true'] : []),
  ];
}

function credentials(spec: Fields): string[] {
  if (isSet(spec.File)) return [`credentialspec=file://${spec.File}`];
  if (isSet(spec.Registry)) return [`credentialspec=registry://${spec.Registry}`];
  return [];
}

function labels(context: Fields): string[] {
  if (context.Disable === true) return ['label=disable'];
  const parts = [
    ['user', context.User],
    ['role', context.Role],
    ['type', context.Type],
    ['level', context.Level],
  ] as const;
  return parts.flatMap(([key, value]) => (isSet(value) ? [`label=${key}:${value}`] : []));
}

/** A custom profile comes as base64 of its JSON. */
function seccomp(options: Fields): string[] {
  if (options.Mode === 'unconfined') return ['seccomp=unconfined'];
  if (options.Mode === 'custom' && isSet(options.Profile)) {
    return [`seccomp=${Buffer.from(options.Profile, 'base64').toString('utf8')}`];
  }
  return [];
}

function isSet(value: Json | undefined): value is string {
  return typeof value === 'string' && value !== '';
}

function fields(value: Json | undefined): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}
