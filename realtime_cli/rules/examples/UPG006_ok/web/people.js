import { on } from "/live/client.js";

const people = new Map();

on("__presence:lobby").subscribe(({ event, data }) => {
  if (event === "presence_diff") Object.entries(data.joins).forEach(([key, user]) => people.set(key, user));
});
