#!/usr/bin/env bash
# What a CI job does to show a pull request: one script of the kind that people keep in their repositories. The tag is the pull request's, so that
# what did not change is neither pushed nor started again.
set -euo pipefail

echo "clone $EPOCHREALTIME"
git clone --quiet --depth 1 --branch "$BRANCH" "$REPOSITORY" "$FOLDER"
cd "$FOLDER"

echo "build $EPOCHREALTIME"
for service in web api; do
	docker build --quiet --tag "$REGISTRY/shop/$service:$TAG" "$service"
done

echo "push $EPOCHREALTIME"
for service in web api; do
	docker push --quiet "$REGISTRY/shop/$service:$TAG"
done

echo "up $EPOCHREALTIME"
$COMPOSE --project-name "$PROJECT" --file ci.yaml up --detach

echo "end $EPOCHREALTIME"
