import type { Random } from '../../proto/runtime/random.ts';

const ADJECTIVES = [
  'amber',
  'bold',
  'brisk',
  'busy',
  'calm',
  'clever',
  'dusky',
  'eager',
  'early',
  'fair',
  'gentle',
  'golden',
  'happy',
  'keen',
  'lively',
  'lucid',
  'merry',
  'mild',
  'noble',
  'patient',
  'quick',
  'quiet',
  'ready',
  'silver',
  'spry',
  'steady',
  'sunny',
  'swift',
  'tidy',
  'vivid',
  'warm',
  'wise',
] as const;

const NOUNS = [
  'acacia',
  'aster',
  'beech',
  'borage',
  'bramble',
  'cell',
  'clover',
  'comb',
  'crocus',
  'drone',
  'fennel',
  'forager',
  'hazel',
  'heather',
  'hive',
  'honey',
  'hyssop',
  'keeper',
  'lavender',
  'linden',
  'mallow',
  'meadow',
  'mint',
  'nectar',
  'orchard',
  'pollen',
  'queen',
  'scout',
  'sage',
  'thyme',
  'willow',
  'wing',
] as const;

const PLAIN_TRIES = 4;

/** A name for a service whose maker gave none; `isFree` says whether one may be used. */
export function randomName(random: Random, isFree: (name: string) => boolean): string {
  for (let tries = 0; ; tries++) {
    const plain = `${pick(ADJECTIVES, random)}_${pick(NOUNS, random)}`;
    const name = tries < PLAIN_TRIES ? plain : `${plain}${Math.floor(random() * 10 ** Math.min(tries, 9))}`;
    if (isFree(name)) return name;
  }
}

function pick(words: readonly string[], random: Random): string {
  return words[Math.floor(random() * words.length)] ?? '';
}
