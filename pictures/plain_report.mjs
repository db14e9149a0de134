// The renderer's report holds a variable's own value for all as an object that points back to itself: that is left out.
const stringify = JSON.stringify;
JSON.stringify = (value, replacer, space) => {
  const above = [];
  return stringify(value, replacer ?? function (_, inner) {
    if (typeof inner !== 'object' || inner === null) return inner;
    while (above.length && above.at(-1) !== this) above.pop();
    if (above.includes(inner)) return undefined;
    above.push(inner);
    return inner;
  }, space);
};
